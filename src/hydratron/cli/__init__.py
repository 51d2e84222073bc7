"""The command line, `hydratron VERB ...`; a verb's own module is imported when it is called."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Sequence

from hydratron.cli import streams
from hydratron.cli.parser import FAILED, INTERRUPTED, USAGE_ERROR, complain, told
from hydratron.errors import HydratronError

HELP = """\
usage: hydratron [--help] [--version] VERB ...

Rerun the Megatron-LM paper: tensor-parallel GPT-2 and BERT, on a laptop, a GPU or a cluster.

  prepare      text to tokens, once for all jobs     hydratron prepare texts/ --output tokens
  train        train one job, or a sweep of them     hydratron train experiment=demo
  convert      to Hugging Face, and from it          hydratron convert JOB OUT --to huggingface
  plan         memory, traffic and time of a job     hydratron plan model=gpt2_8.3b parallel=tp8
  evaluate     score trained models on a text       hydratron evaluate JOB --task lambada ...
  generate     go on with a text                    hydratron generate JOB --prompt "We the"
  report       page and table of trained jobs        hydratron report outputs/demo
  reproduce    a figure of the paper, judged         hydratron reproduce fig6 --profile small
  completion   tab completion for your shell         eval "$(hydratron completion bash)"

`hydratron VERB --help` says more.
"""
# Each is a module of this package with a function `run`.
VERBS = (
    "prepare", "train", "convert", "plan", "evaluate", "generate", "report", "reproduce",
    "completion",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code: 0, 1 for failed jobs, 2 for a wrong command."""
    if argv is None:
        # The processes of this command do not look for modules among the user's files.
        os.environ.setdefault("PYTHONSAFEPATH", "1")
        streams.open_closed()
    verb, *rest = [*(sys.argv[1:] if argv is None else argv)] or [""]
    if verb in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    if verb == "--version":
        print(f"hydratron {_version()}")
        return 0
    if verb not in VERBS:
        return _unknown_verb(verb)
    try:
        os.getcwd()
    except FileNotFoundError:  # Libraries that are loaded from here end the process without a word.
        complain("the working folder has been deleted; cd to one that is there")
        return USAGE_ERROR
    try:
        code: int = importlib.import_module(f"hydratron.cli.{verb}").run(rest)
        sys.stdout.flush()
        return code
    except HydratronError as error:
        complain(*str(error).splitlines())
        return USAGE_ERROR
    except BrokenPipeError:
        # The reader, `head` for one, has enough; the interpreter's last flush must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        # A full disk, a folder that is another user's: nothing that a traceback would explain.
        complain(told(error))
        return FAILED
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED


def _unknown_verb(verb: str) -> int:
    if not verb:
        print(HELP, end="", file=sys.stderr)
        return USAGE_ERROR
    nearest = difflib.get_close_matches(verb, VERBS, n=1, cutoff=0.0)[0]
    complain(f"{verb}: no such verb; nearest: {nearest}; verbs: {', '.join(VERBS)}")
    return USAGE_ERROR


def _version() -> str:
    from importlib.metadata import distributions

    found = [package.version for package in distributions(name="hydratron")]
    return found[0] if found else "(not installed)"
