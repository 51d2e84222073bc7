"""`hydratron prepare`: text to a folder of tokens, and tokens checked or merged."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from hydratron.cli.parser import Parser, complain, path, positive

ABOUT = """\
Text to tokens in Megatron-LM's .bin/.idx format, once for all jobs and on all cores.

  hydratron prepare books/ --output tokens
  hydratron train data=indexed data.path=tokens

INPUT: .txt (one document), .jsonl (one per line) or .parquet (one per row) files, or folders of
them, searched recursively, links included; .txt and .jsonl also packed as .gz, .xz or .zst.  What
else lies there is left out and counted; what cannot be read is refused.  DIR gets
KEY_document.bin and .idx (KEY_sentence with --sentences), tokenizer.json and manifest.json, all
or nothing.  The same command again finds that there is nothing to do.
"""
SPEC = """\
gpt2:PATH    a folder with encoder.json and vocab.bpe
bert:PATH    vocab.txt, or its folder
PATH         any tokenizer.json
bpe          byte-level, trained on the input (default)
wordpiece    uncased like BERT's, trained on the input"""
VOCAB_SIZE = 8192


def run(argv: Sequence[str]) -> int:
    """0 when all went well, 1 when --verify found something wrong."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.verify and args.merge:
        parser.error("--verify and --merge exclude each other")
    if args.verify:
        return _verify(args.inputs, args.vocab_size)
    if args.output is None:
        parser.error("--output is missing: the folder to write")
    if args.merge:
        return _merge(args.inputs, args.output, args.force)
    return _prepare(args)


def build_parser() -> Parser:
    parser = Parser(
        prog="hydratron prepare",
        usage="hydratron prepare INPUT... --output DIR [options]\n"
        "       hydratron prepare --verify PATH...\n"
        "       hydratron prepare --merge PATH... --output DIR",
        description=ABOUT,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        type=os.path.expanduser,
        metavar="INPUT",
        help="files and folders of text",
    )
    add = parser.add_argument
    add("--output", type=path, metavar="DIR", help="the folder to write")
    add("--tokenizer", default="bpe", metavar="SPEC", help=SPEC)
    add(
        "--vocab-size",
        type=positive,
        metavar="N",
        help=f"entries of a trained tokenizer, special ones included (default {VOCAB_SIZE})",
    )
    add(
        "--key",
        action="append",
        metavar="K",
        help="key of a JSON line, or column of a parquet file (default text);\n"
        "several give a dataset each",
    )
    add("--sentences", action="store_true", help="one sequence per sentence, as BERT needs")
    add("--language", default="en", help="of the sentences (default en)")
    add(
        "--append-eod",
        action=argparse.BooleanOptionalAction,
        help="close each document with the end-of-document token\n"
        "(default: yes, but no with --sentences)",
    )
    add(
        "--eod",
        metavar="TOKEN",
        help="the tokenizer's entry that ends a document\n(default: <|endoftext|>, [SEP], </s>, "
        "... whichever it has)",
    )
    add("--workers", type=positive, metavar="N", help="processes (default: all usable cores)")
    add("--force", action="store_true", help="replace the prepared folder DIR by another one")
    add(
        "--verify",
        action="store_true",
        help="check folders or PREFIXes: hashes, and each token against the\n"
        "vocabulary, which --vocab-size gives where there is no manifest",
    )
    add(
        "--merge",
        action="store_true",
        help="join folders of one tokenizer as DIR, or PREFIXes as the PREFIX DIR",
    )
    return parser


def _prepare(args: argparse.Namespace) -> int:
    from hydratron.data.manifest import DOCUMENT, SENTENCE
    from hydratron.data.preparer.command import Request, prepare_files
    from hydratron.data.preparer.pool import usable_cores

    outcome = prepare_files(
        Request(
            inputs=args.inputs,
            output=args.output,
            tokenizer=args.tokenizer,
            end=args.eod,
            vocab_size=args.vocab_size or VOCAB_SIZE,
            keys=args.key or ["text"],
            level=SENTENCE if args.sentences else DOCUMENT,
            append_eod=not args.sentences if args.append_eod is None else args.append_eod,
            language=args.language,
            workers=args.workers or usable_cores(),
            force=args.force,
        ),
        progress=True,
    )
    if outcome.note:
        complain(outcome.note)
    entries = outcome.manifest.datasets.values()
    documents = sum(entry.documents for entry in entries)
    sequences = sum(entry.sequences for entry in entries)
    tokens = sum(entry.tokens for entry in entries)
    counts = f"{args.output}: {documents:,} documents, {sequences:,} sequences, {tokens:,} tokens"
    if not outcome.built:
        print(f"{counts}; the same input and settings as before, nothing to do")
        return 0
    megabytes = outcome.bytes / 1e6
    speed = (
        f"{megabytes:,.1f} MB in {outcome.seconds:,.1f} s, {megabytes / outcome.seconds:,.1f} MB/s"
    )
    empty = f"; {outcome.dropped:,} empty documents left out" if outcome.dropped else ""
    print(f"{counts}; {speed}{empty}")
    return 0


def _verify(paths: Sequence[str], vocab_size: int | None) -> int:
    from hydratron.data.preparer.verifying import verify_paths

    code = 0
    for checked in verify_paths(paths, vocab_size, progress=True):
        if checked.problems:
            code = 1
            sys.stdout.flush()
            complain(*map(str, checked.problems))
        else:
            print(f"{checked.prefix}: {checked.counts}; as it should be")
    return code


def _merge(paths: Sequence[str], output: Path, force: bool) -> int:
    from hydratron.data.indexed import IndexedDataset
    from hydratron.data.preparer.merging import merge_paths

    for prefix in merge_paths(paths, output, force, progress=True):
        merged = IndexedDataset(prefix)
        counts = f"{merged.documents:,} documents, {len(merged):,} sequences"
        print(f"{prefix}: {counts}, {merged.tokens:,} tokens from {len(paths)} paths")
    return 0
