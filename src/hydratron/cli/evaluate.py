"""`hydratron evaluate`: trained GPTs scored by the paper's zero-shot tasks, or on any text."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hydratron.cli.parser import FAILED, Parser, complain, path, positive
from hydratron.errors import JobError

if TYPE_CHECKING:
    from hydratron.evaluation.run import Done

ABOUT = """\
Trained GPTs scored, and the scores kept beside their checkpoints.

  hydratron evaluate outputs/demo --task perplexity --data book.txt
  hydratron evaluate JOB --task wikitext103 --data wiki.test.tokens --parallel tp2
  hydratron evaluate JOB --harness lambada_openai,arc_easy

CHECKPOINT: a checkpoint, a job folder (its newest one), or a folder of jobs (the newest of each).
Each evaluation is a file, CHECKPOINT/../evaluations/STEP-TASK-HASH/evaluation.json; the same one
again is only told.  hydratron report has them in its table of runs.

--harness runs tasks of lm-evaluation-harness (pip install 'hydratron[harness]'), which downloads
their data sets.  --include DIR has tasks of your own, or those whose data you have.  A task can
name Python functions, which run: include only what you trust.
"""
TASKS = {
    "wikitext103": "WikiText's tokenised test file: perplexity by its words",
    "lambada": "LAMBADA's .jsonl: the last word of each passage",
    "perplexity": ".txt, .jsonl, .parquet or prepared tokens: perplexity, bits per byte",
}

# What one of the two ways has and the other has not.
ONLY = {
    "task": ("task", "data", "stride", "key", "megatron_words"),
    "harness": ("harness", "include", "limit"),
}


def build_parser() -> Parser:
    parser = Parser(
        prog="hydratron evaluate",
        usage=(
            "hydratron evaluate CHECKPOINT... --task TASK --data FILE [options]\n"
            "       hydratron evaluate CHECKPOINT... --harness TASK[,TASK] [options]"
        ),
        description=ABOUT,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    add = parser.add_argument
    add("checkpoints", nargs="+", type=path, metavar="CHECKPOINT", help="what is scored")
    tasks = "\n".join(f"{name:12} {said}" for name, said in TASKS.items())
    add("--task", choices=(*TASKS,), metavar="TASK", help=tasks)
    add("--data", type=path, metavar="FILE", help="what it is scored on")
    add("--harness", type=_names, metavar="NAMES", help="tasks or groups of lm-eval, with commas")
    add("--include", type=path, metavar="DIR", help="--harness: a folder with tasks, as YAML")
    add("--limit", type=positive, metavar="N", help="--harness: the first N documents of each task")
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
    add("--key", metavar="K", help="key or column of the text (default text)")
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
    try:
        for done in _started(argv):
            print(line(done))
            print(f"  {done.record}")
            for note in done.content["notes"]:
                complain(note)
            sys.stdout.flush()
    except JobError as error:
        complain(str(error))
        return FAILED
    return 0


def _started(argv: Sequence[str]) -> Iterator[Done]:
    """The evaluations of the command, which is known to be right."""
    parser = build_parser()
    args = {name: value for name, value in vars(parser.parse_args(argv)).items() if value}
    kind, other = ("harness", "task") if "harness" in args else ("task", "harness")
    if strange := [name for name in ONLY[other] if name in args]:
        parser.error(f"--{strange[0].replace('_', '-')} is for --{other}, not for --{kind}")
    if kind == "harness":
        from hydratron.evaluation import harness_run

        asked = harness_run.Command(tasks=args.pop("harness"), **args)
        return harness_run.run(asked, *harness_run.plan(asked, complain))
    if missing := [name for name in ("task", "data") if name not in args]:
        parser.error(f"--{missing[0]} is needed, or --harness")
    from hydratron.evaluation import run as running

    command = running.Command(**args)
    return running.run(command, running.plan(command, complain))


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def line(done: Done) -> str:
    """`JOB step_00000200 wikitext103 perplexity 812.3, ...; what the file is`."""
    content = done.content
    metrics = ", ".join(
        f"{name} {_shown(name, value)}" for name, value in content["metrics"].items()
    )
    if content["tokens"] is None:
        of = content["counts"]
        counts = f"{of['documents']:,} documents, {of['requests']:,} requests"
    else:
        counts = f"{content['original_tokens']:,} words, {content['tokens']:,} tokens"
    before = "; scored before" if done.before else ""
    return f"{done.name} {content['task']}: {metrics} ({counts}{_standing(content)}){before}"


def _standing(content: dict[str, Any]) -> str:
    if content["task"] == "perplexity":
        return ""
    if harness := content["protocol"].get("harness"):
        limit = content["protocol"]["limit"]
        return f"; {harness}" + (f", the first {limit} documents of each task" if limit else "")
    return "" if content["official"] else "; unofficial: not the task's whole file"


def _shown(name: str, value: float) -> str:
    return f"{100 * value:.2f} %" if name.startswith("acc") else f"{value:,.4g}"
