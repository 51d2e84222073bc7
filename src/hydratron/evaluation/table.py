"""The evaluations, a row each: every value of `--task`."""

from __future__ import annotations

from hydratron.evaluation.contract import EvaluationTask
from hydratron.evaluation.lambada import Lambada
from hydratron.evaluation.text import TextPerplexity
from hydratron.evaluation.wikitext103 import WikiText103

TASKS: dict[str, EvaluationTask] = {
    "wikitext103": WikiText103(),
    "lambada": Lambada(),
    "perplexity": TextPerplexity(),
}
