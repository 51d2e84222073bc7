"""`hydratron evaluate`: trained GPTs scored by the paper's zero-shot tasks, or on any text."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydratron.cli.parser import FAILED, Parser, complain, path, positive
from hydratron.errors import JobError

if TYPE_CHECKING:
    from hydratron.evaluation.run import Done

ABOUT = """\
Trained GPTs scored, and the scores kept beside their checkpoints.

  hydratron evaluate outputs/demo --task perplexity --data book.txt
  hydratron evaluate JOB --task wikitext103 --data wiki.test.tokens --parallel tp2

CHECKPOINT: a checkpoint, a job folder (its newest one), or a folder of jobs (the newest of each).
Each evaluation is a file, CHECKPOINT/../evaluations/STEP-TASK-HASH/evaluation.json; the same one
again is only told.  hydratron report has them in its table of runs.
"""
TASKS = {
    "wikitext103": "WikiText's tokenised test file: perplexity by its words",
    "lambada": "LAMBADA's .jsonl: the last word of each passage",
    "perplexity": ".txt, .jsonl, .parquet or prepared tokens: perplexity, bits per byte",
}


def build_parser() -> Parser:
    parser = Parser(
        prog="hydratron evaluate",
        usage="hydratron evaluate CHECKPOINT... --task TASK --data FILE [options]",
        description=ABOUT,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    add = parser.add_argument
    add("checkpoints", nargs="+", type=path, metavar="CHECKPOINT", help="what is scored")
    tasks = "\n".join(f"{name:12} {said}" for name, said in TASKS.items())
    add("--task", required=True, choices=(*TASKS,), metavar="TASK", help=tasks)
    add("--data", required=True, type=path, metavar="FILE", help="what it is scored on")
    add("--parallel", default="single", metavar="tpA", help="degrees, as in training: tp2, tp2_dp2")
    add("--batch", type=positive, metavar="N", help="windows of one forward pass")
    add("--context", type=positive, metavar="N", help="tokens of a window (default: the model's)")
    stride = (
        "tokens from one window to the next\n(default: wikitext103 32, perplexity half a context)"
    )
    add("--stride", type=positive, metavar="N", help=stride)
    add("--precision", choices=("fp32", "bf16", "fp16"), help="(default: that of the training)")
    add("--accelerator", choices=("auto", "cpu", "gpu"), help="(default: that of the training)")
    add("--threads", type=positive, default=0, metavar="N", help="CPU threads of a rank")
    add("--key", default="text", metavar="K", help="key or column of the text (default text)")
    words = (
        "lambada: the word after the last white space,\nas in Megatron-LM, not after the last space"
    )
    add("--megatron-words", action="store_true", help=words)
    spec = "gpt2:PATH or a tokenizer.json, in place of the checkpoint's"
    add("--tokenizer", metavar="SPEC", help=spec)
    add("--again", action="store_true", help="score anew what is scored already")
    return parser


def run(argv: Sequence[str]) -> int:
    """0 when everything was scored, 1 when ranks failed."""
    args = build_parser().parse_args(argv)
    from hydratron.evaluation import run as running

    command = running.Command(**vars(args))
    planned = running.plan(command, complain)
    try:
        for done in running.run(command, planned):
            print(line(done))
            print(f"  {done.record}")
            for note in done.content["notes"]:
                complain(note)
            sys.stdout.flush()
    except JobError as error:
        complain(str(error))
        return FAILED
    return 0


def line(done: Done) -> str:
    """`JOB step_00000200 wikitext103 perplexity 812.3, ...; what the file is`."""
    content = done.content
    metrics = ", ".join(
        f"{name} {_shown(name, value)}" for name, value in content["metrics"].items()
    )
    counts = f"{content['original_tokens']:,} words, {content['tokens']:,} tokens"
    before = "; scored before" if done.before else ""
    return f"{done.name} {content['task']}: {metrics} ({counts}{_standing(content)}){before}"


def _standing(content: dict[str, Any]) -> str:
    if content["task"] == "perplexity":
        return ""
    return "" if content["official"] else "; unofficial: not the task's whole file"


def _shown(name: str, value: float) -> str:
    return f"{100 * value:.2f} %" if name.startswith("accuracy") else f"{value:,.4g}"
