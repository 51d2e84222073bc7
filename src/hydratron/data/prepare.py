"""Tokens for a job: built once per corpus and tokenizer, then found again by their content.

The folder's name is a hash of everything that decides what is in it, so a changed file or setting
gives another folder, and moved or copied files give the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hydratron.config.schema import Config, DataConfig, TokenizerConfig
from hydratron.data.kept import kept
from hydratron.data.labelled.prepare import prepare_labelled
from hydratron.data.manifest import DOCUMENT, FORMAT, SENTENCE, SPLITS, TRAIN
from hydratron.data.preparer.blocks import Fragment, gather
from hydratron.data.preparer.build import Recipe, fill
from hydratron.data.preparer.pool import usable_cores
from hydratron.data.preparer.tokenize import OPENERS, TRAINERS, check_end, tokenizer_identity
from hydratron.data.progress import LateProgress
from hydratron.data.selection import select
from hydratron.data.text import RULE, Source, next_boundary, open_source
from hydratron.data.text.cutting import Cut
from hydratron.data.text.sentences import ENGLISH, splitter
from hydratron.data.text.split import split_pieces
from hydratron.data.tokenizer import Tokenizer


def prepare(
    data: DataConfig,
    tokenizer: TokenizerConfig,
    *,
    sentences: bool = False,
    progress: bool,
    tell: Callable[[str], object] = lambda note: None,
) -> Path:
    """The absolute path of a job's tokens in `data.cache_dir`, built when they are not there.

    Tokens that exist already, `data=indexed` and `data=blend`, are only selected from.  Any number
    of processes may ask at once: one builds, the others wait.  A build that is cut off leaves no
    folder.  `sentences` makes each sentence a sequence, without `eod`, as BERT needs.  `progress`
    allows a bar on standard error; `tell` hears what lies beside the text and is not read.  Raises
    DataError.
    """
    if data.source in ("indexed", "blend"):
        return select(data, tokenizer, sentences=sentences)
    source = open_source(data)
    if source.note:
        tell(f"{source.place}: {source.note}")
    opener = OPENERS.get(tokenizer.kind)
    opened = opener(tokenizer.path, tokenizer.eod) if opener else None
    if not sentences:
        check_end(opened, "tokenizer.path", tokenizer.path, "name its own by tokenizer.eod")
    identity: dict[str, Any] = {
        "format": FORMAT,
        "source": source.fingerprint(),
        "split": RULE,
        "level": SENTENCE if sentences else DOCUMENT,
        "tokenizer": tokenizer_identity(
            tokenizer.kind, tokenizer.vocab_size, opened, tokenizer.eod
        ),
    }
    if sentences:
        identity["sentences"] = {"language": ENGLISH, "found_by": splitter()}

    def build(building: Path, bar: LateProgress) -> None:
        _build(source, opened, tokenizer, identity, building, bar)

    return kept(data.cache_dir, identity, build, progress=progress)


def prepare_job(
    config: Config, *, progress: bool, tell: Callable[[str], object] = lambda note: None
) -> Path:
    """The tokens of a job, of text or of the labelled files of its task; see `prepare`."""
    if config.learning.examples:
        return prepare_labelled(config, config.learning.form, progress=progress)
    return prepare(
        config.data, config.tokenizer, sentences=config.sentences, progress=progress, tell=tell
    )


def _build(
    source: Source,
    opened: Tokenizer | None,
    config: TokenizerConfig,
    identity: dict[str, Any],
    folder: Path,
    bar: LateProgress,
) -> None:
    """Fill the folder.  No time stamps: the same input, the same bytes."""
    tokenizer = opened
    if tokenizer is None:
        bar.start("training the tokenizer", source.size())
        pieces = split_pieces(source, bar.advance, next_boundary)
        texts = (piece.text for piece in pieces if piece.split == TRAIN)
        tokenizer = TRAINERS[config.kind](texts, config.vocab_size)
    sentences = identity["level"] == SENTENCE
    origin = {name: identity[name] for name in identity if name not in ("format", "tokenizer")}
    recipe = Recipe(
        names=SPLITS,
        tokenizer=tokenizer,
        tokenizer_identity=identity["tokenizer"],
        level=identity["level"],
        append_eod=not sentences,
        language=ENGLISH,
        workers=usable_cores(),
    )
    bar.start("encoding the text", source.size())
    fill(folder, recipe, gather(_fragments(source, recipe.cut, bar)), lambda: origin)


def _fragments(source: Source, cut: Cut, bar: LateProgress) -> Iterator[Fragment]:
    for split, text, ends in split_pieces(source, bar.advance, cut):
        yield Fragment(SPLITS.index(split), text, ends)
