"""The tasks: every value of `task=`, besides `pretrain`, which is the one of the architecture.

A task is one row here and one class, which it names (`tasks.contract.Task`).  Needs no torch,
because the schema and the preparation of data read the rows; what they name is imported late.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hydratron.tasks.contract import Task

PRETRAIN = "pretrain"
MULTIPLE = 8
"""What the padding of texts and options is cut to a multiple of."""


@dataclass(frozen=True)
class Row:
    """What is known of a task before anything is built.

    architecture: the trunk that it trains.
    learns:       `module:class` of the Task.
    reads:        `module:function` (corpus, part, seq_length, n, seed) -> the n samples of a part.
    options:      the options of `data=` that its reader takes besides.
    sentences:    whether its data are sentences grouped by document, not whole documents.
    pretrains:    whether it is what `pretrain` means for the architecture.
    examples:     `module:object` of the Format of its labelled files; "" where it learns from text.
    inputs:       sequences of a sample.
    guessing:     `module:function` (corpus, samples, predicted) -> the loss of a model that knows
                  frequencies only; "" where there is none.
    """

    architecture: str
    learns: str
    reads: str
    options: tuple[str, ...] = ()
    sentences: bool = False
    pretrains: bool = False
    examples: str = ""
    inputs: int = 1
    guessing: str = ""

    def task(self) -> Task:
        made: Task = _named(self.learns)()
        return made

    @property
    def samples(self) -> Callable[..., Any]:
        found: Callable[..., Any] = _named(self.reads)
        return found

    @property
    def form(self) -> Any:
        """The Format of its files (`data.labelled.example.Format`), or None."""
        return _named(self.examples) if self.examples else None

    @property
    def baseline(self) -> Callable[..., float] | None:
        found: Callable[..., float] | None = _named(self.guessing) if self.guessing else None
        return found


FREQUENCIES = "hydratron.data.samples.frequency:frequency_loss"
LABELS = "hydratron.data.samples.labelled:label_loss"


def _labelled(
    learns: str, reads: str, examples: str, inputs: int = 1, guessing: str = LABELS
) -> Row:
    """A fine-tuning of BERT's trunk, whose modules are in these rooms."""
    return Row(
        "bert",
        learns=f"hydratron.tasks.{learns}",
        reads=f"hydratron.data.samples.labelled:{reads}",
        sentences=True,
        examples=f"hydratron.data.labelled.{examples}",
        inputs=inputs,
        guessing=guessing,
    )


TASKS: dict[str, Row] = {
    "causal": Row(
        "gpt",
        learns="hydratron.tasks.causal:Causal",
        reads="hydratron.data.samples.assemble:gpt_samples",
        pretrains=True,
        guessing=FREQUENCIES,
    ),
    "masked": Row(
        "bert",
        learns="hydratron.tasks.masked:Masked",
        reads="hydratron.data.samples.assemble:bert_samples",
        options=("masking_prob", "max_ngram"),
        sentences=True,
        pretrains=True,
        guessing=FREQUENCIES,
    ),
    "race": _labelled("labelled:Choice", "choice_samples", "race:RACE", inputs=4),
    "mnli": _labelled("labelled:Entailment", "text_samples", "glue:MNLI"),
    "qqp": _labelled("labelled:Paraphrase", "text_samples", "glue:QQP"),
    "sst2": _labelled("labelled:Sentiment", "text_samples", "glue:SST2"),
    "squad1": _labelled("span:Span", "span_samples", "squad:SQUAD1", guessing=""),
    "squad2": _labelled("span:SpanOrNone", "span_samples", "squad:SQUAD2", guessing=""),
}


def row_of(task: str, architecture: str) -> Row:
    """The row of a task by name; `pretrain` is that of the architecture."""
    if task != PRETRAIN:
        return TASKS[task]
    rows = TASKS.values()
    return next(row for row in rows if row.pretrains and row.architecture == architecture)


def _named(where: str) -> Any:
    module, _, name = where.partition(":")
    return getattr(import_module(module), name)
