"""The logged metrics, each declared once: pages, tables and workspaces read these rows.

A new metric is a row here and the call that logs it.  One that is logged without a row gets the
row that `metric` makes from its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from hydratron.reporting.formats import COUNT, DECIMAL, GENERAL, GIB, LOSS, SHARE, Format

POSITION = ("step", "tokens", "seconds")
RANKED = "val/loss"
"""What runs are compared by, unless their task has a metric of its own (`reporting.ranking`)."""
TRAINING, PERFORMANCE, OTHER, LAYERS = "Training", "Performance", "Other metrics", "Layers"
EACH_LAYER, LAYER = "layers/*/", re.compile(r"layers/(\d+)/")


@dataclass(frozen=True)
class Metric:
    """One metric: its key in metrics.jsonl, what it is called, and where and how it is shown.

    `panel` is the section of the page that has its chart (LAYERS: its heat map, of a value for each
    layer `*`); without one it is in the files alone.  `column` is its title in tables of runs;
    without one it is in none.
    """

    name: str
    title: str
    unit: str = ""
    format: Format = GENERAL
    panel: str | None = TRAINING
    column: str = ""
    lower_is_better: bool | None = None
    log: bool = True
    """Whether the logarithmic y applies; a schedule that ends at zero has nothing to show there."""
    first: bool = False
    """Whether it comes before RANKED, in charts and tables: what a fine-tuning is judged by."""
    smoothed: bool = False
    """Whether its moving average is drawn, because single values are noise."""

    @property
    def drawn(self) -> bool:
        """Whether it has a chart."""
        return self.panel not in (None, LAYERS)


METRICS = (
    Metric("step", "Step", "optimizer steps", COUNT, None),
    Metric("tokens", "Tokens", "tokens", COUNT, None, "tokens"),
    Metric("seconds", "Time", "seconds of training", DECIMAL, None, "seconds"),
    Metric("train/loss", "Training loss", "", LOSS, TRAINING, "train\nloss", True, smoothed=True),
    Metric("val/loss", "Validation loss", "nats a prediction", LOSS, TRAINING, "val\nloss", True),
    Metric("val/perplexity", "Validation perplexity", "", DECIMAL, TRAINING, "val\nppl", True),
    Metric("val/mlm_loss", "Masked loss", "validation, nats per masked token", LOSS),
    Metric("val/sop_loss", "Loss of the order of segments", "validation, nats", LOSS, None),
    Metric("val/sop_accuracy", "Order of segments", "validation, told right", SHARE, log=False),
    Metric("val/frequency_loss", "Loss of frequencies alone", "nats a prediction", LOSS, None),
    Metric(
        "val/accuracy", "Accuracy", "of all that validates", SHARE, TRAINING, "acc", False,
        log=False, first=True,
    ),
    Metric("val/majority_accuracy", "Accuracy of the largest class alone", "", SHARE, None),
    Metric("val/accuracy_middle", "Accuracy, middle school", "RACE", SHARE, None, "middle", False),
    Metric("val/accuracy_high", "Accuracy, high school", "RACE", SHARE, None, "high", False),
    Metric(
        "val/accuracy_matched", "Accuracy, matched genres", "MNLI", SHARE, None, "matched", False
    ),
    Metric(
        "val/accuracy_mismatched", "Accuracy, other genres", "MNLI", SHARE, None, "mis-\nmatched",
        False,
    ),
    Metric(
        "val/f1", "F1", "of answers, official", SHARE, TRAINING, "F1", False, log=False, first=True
    ),
    Metric(
        "val/exact_match", "Exact match", "of answers, official", SHARE, TRAINING, "EM", False,
        log=False, first=True,
    ),
    Metric("val/f1_answerable", "F1 of questions with an answer", "", SHARE, None),
    Metric("val/f1_unanswerable", "F1 of questions without one", "", SHARE, None),
    Metric("val/best_f1", "F1 at the best null threshold", "", SHARE, None),
    Metric("val/best_null_threshold", "Best null threshold", "difference of logits", panel=None),
    Metric("epoch", "Epoch", "times the training examples were read", DECIMAL, None),
    Metric("train/mlm_loss", "Masked loss in training", "nats per masked token", LOSS, None),
    Metric("train/sop_loss", "Loss of the order in training", "nats", LOSS, None),
    Metric("train/spikes", "Spikes of the loss", "steps so far", panel=None),
    Metric("lr", "Learning rate", log=False),
    Metric("grad_norm", "Gradient norm", "before clipping"),
    Metric("loss_scale", "Loss scale", "of fp16"),
    Metric("skipped_steps", "Skipped steps", "overflows of fp16 so far", COUNT, None),
    Metric(
        *("perf/tokens_per_second", "Throughput", "tokens per second", COUNT, PERFORMANCE),
        *("tok/s", False),
    ),
    Metric("perf/mfu", "Model FLOPs utilisation", "of peak", SHARE, PERFORMANCE),
    Metric("perf/memory_bytes", "Memory", "bytes", GIB, PERFORMANCE),
    Metric("perf/data_wait", "Waiting for data", "of the time", SHARE, PERFORMANCE, log=False),
    Metric(
        "eval/wikitext103/perplexity", "WikiText103 perplexity", "by words of the file",
        DECIMAL, None, "wiki103\nppl", True,
    ),
    Metric(
        "eval/lambada/accuracy", "LAMBADA accuracy", "words told right",
        SHARE, None, "lambada", False,
    ),
    Metric(
        "eval/lambada/target_perplexity", "LAMBADA's target", "perplexity of the last word",
        DECIMAL, None, "lambada\nppl", True,
    ),
    Metric(
        "eval/perplexity/bits_per_byte", "Bits per byte", "of an evaluated text",
        LOSS, None, "bits/\nbyte", True,
    ),
    Metric("layers/*/grad_norm", "gradient norm, before clipping", panel=LAYERS),
    Metric("layers/*/activation_rms", "root mean square of the output", panel=LAYERS),
    Metric("layers/*/update_ratio", "update relative to the weights", panel=LAYERS),
)  # fmt: skip
ROWS = {row.name: row for row in METRICS}
COLUMNS = tuple(
    row.name for row in METRICS if (row.drawn and not row.first) or row.name in POSITION
)
"""What a frame of logged values begins with, whether it was logged or not; a fine-tuning's own
metrics come where they were."""


def metric(name: str) -> Metric:
    """The row of a logged key, or one for a key without: general numbers, in a section apart."""
    kind = LAYER.sub(EACH_LAYER, name)
    title = kind.removeprefix(EACH_LAYER).replace("/", " ").replace("_", " ").capitalize()
    return ROWS.get(kind) or Metric(kind, title, panel=OTHER if kind == name else LAYERS)


def by_harness(name: str) -> Metric | None:
    """The row of a metric of lm-eval's, `eval/lm-eval-TASK/NAME`, whose names are the harness's."""
    _, _, rest = name.partition("eval/lm-eval-")
    task, _, kind = rest.partition("/")
    if not kind:
        return None
    share = kind.split("/")[-1].startswith(("acc", "exact_match"))
    title = f"{task} {kind}".replace("/", " ")
    return Metric(name, title, "lm-eval", SHARE if share else DECIMAL, None, f"{task}\n{kind}")


def metrics(names: Iterable[str]) -> list[Metric]:
    """The metrics among logged keys, each once, in the order of the rows; then those without."""
    found = {row.name: row for row in map(metric, dict.fromkeys(names))}
    return [row for row in METRICS if row.name in found] + [
        row for name, row in found.items() if name not in ROWS
    ]


def charts(names: Iterable[str]) -> list[Metric]:
    """Those of `metrics` that have a chart: a task's own, what runs are compared by, the rest."""
    drawn = [row for row in metrics(names) if row.drawn]
    return sorted(drawn, key=lambda row: (not row.first, row.name != RANKED))
