"""A prepared folder filled: tokenizer, token files, and the manifest as the last file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

from hydratron.data.encode import safe_cut
from hydratron.data.indexed import token_dtype
from hydratron.data.manifest import SENTENCE, TOKENIZER, Manifest, write_manifest
from hydratron.data.preparer.blocks import Block
from hydratron.data.preparer.output import Written, write_datasets
from hydratron.data.preparer.pool import encode_blocks
from hydratron.data.preparer.work import Job
from hydratron.data.text.cutting import Cut, next_paragraph
from hydratron.data.tokenizer import Tokenizer


@dataclass(frozen=True)
class Recipe:
    """How text becomes the datasets `names`; `workers` never changes what is written."""

    names: Sequence[str]
    tokenizer: Tokenizer
    tokenizer_identity: Mapping[str, Any]
    level: str
    append_eod: bool
    language: str
    workers: int

    @cached_property
    def cut(self) -> Cut:
        """Where a long text can be cut into pieces."""
        return next_paragraph if self.level == SENTENCE else safe_cut(self.tokenizer)

    def job(self) -> Job:
        """The part that the workers need."""
        return Job(
            tokenizer=self.tokenizer.to_json(),
            dtype=token_dtype(self.tokenizer.vocab_size).str,
            datasets=len(self.names),
            level=self.level,
            end=self.tokenizer.eod if self.append_eod else None,
            language=self.language,
        )


def fill(
    folder: Path, recipe: Recipe, blocks: Iterable[Block], origin: Callable[[], Mapping[str, Any]]
) -> tuple[Manifest, Written]:
    """Write the folder's files; `origin` is asked when all blocks have been read."""
    recipe.tokenizer.save(folder / TOKENIZER)
    job = recipe.job()
    with closing(encode_blocks(blocks, job, recipe.workers)) as encoded:
        written = write_datasets(folder, recipe.names, encoded, job)
    packages = ["numpy", "tokenizers"] + ["sentencex"] * (recipe.level == SENTENCE)
    manifest = Manifest(
        level=recipe.level,
        tokenizer={**recipe.tokenizer_identity, "sha256": recipe.tokenizer.sha256},
        vocab_size=recipe.tokenizer.vocab_size,
        eod=recipe.tokenizer.eod,
        dtype=token_dtype(recipe.tokenizer.vocab_size).name,
        datasets=written.datasets,
        origin=origin(),
        versions={name: metadata.version(name) for name in packages},
    )
    write_manifest(folder, manifest)
    return manifest, written
