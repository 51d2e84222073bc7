"""`hydratron generate`: a trained GPT goes on with a text."""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydratron.cli.parser import FAILED, Parser, complain, path, positive
from hydratron.errors import JobError, inert

if TYPE_CHECKING:
    from hydratron.evaluation.generate import Planned

ABOUT = """\
A trained GPT goes on with a text, which is shown as it comes.

  hydratron generate JOB --prompt "The people of these states"
  hydratron generate JOB --prompts prompts.txt --temperature 0.8 --top-p 0.9 --seed 3 --json

CHECKPOINT: a checkpoint, or a job folder (its newest one).  Without --temperature the likeliest
token is taken every time; above 0 it is drawn, the same at every degree for one seed.  A text ends
with the model's end of text, or after --max-tokens.  A prompt that leaves no room for them among
the model's positions is refused.
"""
ENDS = {"end_of_text": "end of text", "max_tokens": "as many as asked for"}


def build_parser() -> Parser:
    parser = Parser(
        prog="hydratron generate",
        usage="hydratron generate CHECKPOINT (--prompt TEXT | --prompts FILE) [options]",
        description=ABOUT,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    add = parser.add_argument
    add("checkpoint", type=path, metavar="CHECKPOINT", help="what generates")
    add("--prompt", metavar="TEXT", help="what it goes on from; '' is the start of a document")
    lines = "a prompt a line, or under 'prompt' in each line of a .jsonl"
    add("--prompts", type=path, metavar="FILE", help=lines)
    most = "tokens to add (default: 100, or as many as the model has positions for)"
    add("--max-tokens", type=positive, metavar="N", help=most)
    drawn = (
        "0 takes the likeliest token (default); above it, logits\nare divided by it and drawn from"
    )
    add("--temperature", type=_temperature, default=0.0, metavar="T", help=drawn)
    add("--top-k", type=positive, metavar="K", help="draw from the K likeliest tokens")
    top_p = "draw from the fewest tokens that have probability P together"
    add("--top-p", type=_share, metavar="P", help=top_p)
    add("--seed", type=_seed, default=0, metavar="S", help="of what is drawn (default 0)")
    add("--json", action="store_true", help="an object a line for each prompt, for programs")
    add("--parallel", default="single", metavar="tpA", help="degree, as in training: tp2")
    add("--precision", choices=("fp32", "bf16"), help="(default: that of the training)")
    add("--accelerator", choices=("auto", "cpu", "gpu"), help="(default: that of the training)")
    add("--threads", type=positive, default=0, metavar="N", help="CPU threads of a rank")
    spec = "gpt2:PATH or a tokenizer.json, in place of the checkpoint's"
    add("--tokenizer", metavar="SPEC", help=spec)
    return parser


def run(argv: Sequence[str]) -> int:
    """0 when every prompt was gone on with, 1 when ranks failed."""
    parser = build_parser()
    args = vars(parser.parse_args(argv))
    text, file, as_json = args.pop("prompt"), args.pop("prompts"), args.pop("json")
    if (text is None) == (file is None):
        parser.error("one of --prompt and --prompts is needed")
    for name, unused in (("top_k", 0), ("top_p", 1.0)):
        if args[name] is None:
            args[name] = unused
        elif not args["temperature"]:
            flag = f"--{name.replace('_', '-')}"
            parser.error(f"{flag} {args[name]}: says how to draw; it needs --temperature above 0")
    from hydratron.evaluation import generate

    prompts = [text] if text is not None else generate.read_prompts(file)
    planned = generate.plan(generate.Command(prompts=prompts, **args))
    print(f"{planned.checkpoint.name}: starting the ranks", file=sys.stderr, flush=True)
    try:
        generate.run(planned, _program if as_json else Terminal(planned).hear)
    except JobError as error:
        complain(str(error))
        return FAILED
    return 0


class Terminal:
    """Prompts and texts as a person reads them, with a line on stderr at the end of each."""

    def __init__(self, planned: Planned) -> None:
        self._prompts = [prompt.text for prompt in planned.prompts]
        self._shown = -1
        # A pipe gets what the model says; a terminal does not obey it.
        self._made = inert if sys.stdout.isatty() else str
        if isinstance(sys.stdout, io.TextIOWrapper):  # Whatever the locale, no text is an error.
            sys.stdout.reconfigure(errors="backslashreplace")

    def hear(self, said: dict[str, Any]) -> None:
        if self._shown < said["prompt"]:
            self._shown = said["prompt"]
            self._print(("\n" if self._shown else "") + self._prompts[self._shown])
        if "piece" in said:
            self._print(said["piece"])
            return
        self._print("\n")
        complain(ended(said["end"]))

    def _print(self, text: str) -> None:
        print(self._made(text), end="", flush=True)


def ended(end: dict[str, Any]) -> str:
    """`64 tokens, 512.3 a second; end of text`."""
    speed = f"{len(end['tokens'])} tokens, {end['tokens_per_second']:,} a second"
    return f"{speed}; {ENDS[end['stop']]}"


def _program(said: dict[str, Any]) -> None:
    if "end" in said:
        print(json.dumps(said["end"], ensure_ascii=False), flush=True)


def _temperature(text: str) -> float:
    found = _float(text)
    if not 0.0 <= found < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 on")
    return found


def _share(text: str) -> float:
    found = _float(text)
    if not 0.0 < found <= 1.0:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0 and at most 1")
    return found


def _float(text: str) -> float:
    """No number is not a number: NaN."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0 on")
    return int(text)
