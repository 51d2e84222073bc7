"""`hydratron convert`: a model from one format to another, proven on real text."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence

from hydratron.cli.parser import Parser, path
from hydratron.errors import HydratronError

ABOUT = """\
A model from one format to another.  INPUT says itself what it is:

  a job folder of hydratron, or a checkpoint of one
  a folder of Hugging Face's: GPT-2, BERT (post-LN), MegatronBert (pre-LN), encoders without heads;
    config.json, safetensors in one file or several, tokenizer files
  a checkpoint of Megatron-LM: mp_rank_XX/model_optim_rng.pt of any version, or torch_dist

  hydratron convert outputs/demo/000_gpt_pico-single-s1234 exported --to huggingface
  hydratron convert minilm/ imported --to hydratron
  hydratron convert release/ imported --to hydratron --tokenizer gpt2:vocab/
  hydratron convert outputs/job reshaped --to hydratron --parallel tp4

OUTPUT appears when both sides have computed the same on real text, and not at all otherwise.
With --parallel a checkpoint of hydratron's
keeps all that it holds, optimizer included, in one file for each rank of that degree.
Nothing of INPUT is executed.  What does not map is refused by its name.  Needs transformers:
pip install 'hydratron[huggingface]'.
"""
TOKENIZERS = """\
instead of the input's own: gpt2:PATH, bert:PATH, a tokenizer.json, or
a folder of Hugging Face's files (Megatron-LM's checkpoints have none)"""
MODEL = """\
what a checkpoint of Megatron-LM does not say: num_attention_heads=N,
gelu=tanh|erf, layernorm.eps=E"""
PARALLEL = """\
rewrite a checkpoint of hydratron's for these degrees: tp4, tp2_dp2,
single; any degree reads any checkpoint, this one faster"""
FORMATS = ("huggingface", "hydratron")
SIZE = re.compile(r"(\d+(?:\.\d+)?)(KB|MB|GB)")
UNITS = {"KB": 1e3, "MB": 1e6, "GB": 1e9}


def build_parser() -> Parser:
    parser = Parser(
        prog="hydratron convert",
        description=ABOUT,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    add = parser.add_argument
    add("input", type=path, metavar="INPUT", help="the model to read")
    add("output", type=path, metavar="OUTPUT", help="the folder to write; must not be there yet")
    add("--to", required=True, choices=FORMATS, help="the format of OUTPUT")
    add("--tokenizer", metavar="SPEC", help=TOKENIZERS)
    add("--parallel", metavar="tpA", help=PARALLEL)
    add("--model", action="append", default=[], metavar="KEY=VALUE", help=MODEL)
    add(
        "--max-shard-size",
        type=_bytes,
        default=5 * 10**9,
        metavar="SIZE",
        help="of a safetensors file: 500MB, 5GB (default)",
    )
    return parser


def run(argv: Sequence[str]) -> int:
    args = build_parser().parse_args(argv)
    if args.parallel is not None:
        return _reshape(args)
    from hydratron.interop.convert import convert
    from hydratron.interop.tokenizers import opened

    tokenizer = None if args.tokenizer is None else opened(args.tokenizer)
    done = convert(
        args.input, args.output, args.to, tokenizer, args.model, shard_bytes=args.max_shard_size
    )
    model = done.model
    parameters = sum(tensor.numel() for tensor in model.raw().values())
    print(
        f"{args.output}: {parameters:,} parameters, {model.vocab_size:,} entries, from "
        f"{done.kind}; on real text both sides agree within {done.difference:.1e}"
    )
    if done.missing:
        told = ", ".join(done.missing)
        anew = "; init_from= draws them anew" if args.to == "hydratron" else ""
        print(f"without {told}, which {args.input} does not have{anew}")
    sys.stdout.flush()
    return 0


def _reshape(args: argparse.Namespace) -> int:
    """Of the other options only those that say what to read and write mean anything here."""
    others = {"--to huggingface": args.to != "hydratron", "--tokenizer": args.tokenizer}
    others["--model"] = args.model
    if other := next((name for name, given in others.items() if given), None):
        raise HydratronError(f"--parallel: does not go with {other}")
    from hydratron.interop.reshape import reshape

    done = reshape(args.input, args.output, args.parallel)
    print(
        f"{args.output}: {done.checkpoint} from {done.before} to {done.after}, {done.shards} files "
        f"of together {done.bytes:,} bytes; read back, every bit as it was"
    )
    sys.stdout.flush()
    return 0


def _bytes(text: str) -> int:
    match = SIZE.fullmatch(text)
    if match is None or not float(match[1]):
        raise argparse.ArgumentTypeError(f"{text} is not a size such as 500MB or 5GB")
    return int(float(match[1]) * UNITS[match[2]])
