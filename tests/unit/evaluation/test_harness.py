"""lm-eval's own counts of its tasks, through our model: what a target and a window are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from hydratron.data.tokenizer import Tokenizer
from hydratron.evaluation.contract import Scores
from hydratron.evaluation.harness import Asked, evaluated, opened
from hydratron.evaluation.sampling import Sampling
from hydratron.evaluation.windows import Windows
from tests.helpers.harnessed import LAMBADA, WIKITEXT, write_page, write_task
from tests.unit.evaluation.conftest import shared

pytest.importorskip("lm_eval", reason="needs the extra [harness]")
pytestmark = pytest.mark.filterwarnings("ignore")
CONTEXT = 1024


class Counting:
    """Says that every token has a probability of 1 / e, and that single targets are right."""

    def __init__(self) -> None:
        self.windows, self.longest, self.tokens = 0, 0, 0

    def score(self, windows: Windows) -> Scores:
        self.windows += len(windows)
        self.longest = max(self.longest, int(windows.lengths.max()))
        self.tokens += windows.targets
        single = windows.scored == 1
        return Scores(windows.scored.astype(np.float64), single, single)

    def go_on(
        self, tokens: Sequence[int], most: int, until: Sequence[str], how: Sampling, number: int
    ) -> str:
        raise AssertionError


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def judged(asked: Asked, tokenizer: Tokenizer) -> tuple[dict[str, float], Counting, int]:
    from hydratron.evaluation.harness_model import HarnessModel

    counting = Counting()
    done: list[int] = []
    model = HarnessModel(tokenizer, CONTEXT, counting.score, counting.go_on, done.append)
    (metrics,) = evaluated(asked, model).values()
    assert model.cut == 0
    return metrics, counting, sum(done)


def test_lambada_has_the_counts_of_the_harness(gpt2: Tokenizer, tmp_path: Path) -> None:
    write_task(tmp_path, "lambada_here", LAMBADA, shared("lambada-openai-test.jsonl"))
    asked = Asked(["lambada_here"], tmp_path)
    metrics, counting, done = judged(asked, gpt2)
    assert metrics["acc"] == pytest.approx(0.778187463613429, abs=1e-12)
    assert metrics["perplexity"] == pytest.approx(3.58073337, abs=1e-8)
    assert (counting.tokens, done) == (6_573, 5_153)
    (task,) = opened(Asked(["lambada_here"], tmp_path, limit=7))
    assert (task.requests, task.documents, task.own) == (7, 7, True)


def test_wikitext_has_the_counts_of_the_harness(gpt2: Tokenizer, tmp_path: Path) -> None:
    raw = shared("wikitext2-test.raw").read_text(encoding="utf-8")
    write_task(tmp_path, "wiki_here", WIKITEXT, write_page(tmp_path / "page.jsonl", raw))
    metrics, counting, done = judged(Asked(["wiki_here"], tmp_path), gpt2)
    assert (counting.tokens, counting.windows, counting.longest) == (270_725, 265, CONTEXT)
    assert metrics == pytest.approx(
        {
            "word_perplexity": 3.0720598514,
            "byte_perplexity": 1.2339820388,
            "bits_per_byte": 0.3033213956,
        },
        abs=1e-9,
    )
    assert done == 1
