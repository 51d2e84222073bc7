"""`hydratron prepare --verify`: whether tokens are still what was written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydratron.data.corpus import open_entry
from hydratron.data.indexed import IndexedDataset, bin_path, idx_path, verify
from hydratron.data.manifest import MANIFEST, TOKENIZER, Manifest
from hydratron.data.preparer.existing import manifest_of
from hydratron.data.progress import LateProgress
from hydratron.data.tokenizer import Tokenizer
from hydratron.errors import DataError, Problem


@dataclass(frozen=True)
class Checked:
    """One dataset and what is wrong with it; nothing when all is well."""

    prefix: Path
    problems: Sequence[Problem]
    counts: str = ""


def verify_paths(paths: Sequence[str], vocab_size: int | None, progress: bool) -> Iterator[Checked]:
    """Every dataset of every path, a prepared folder or a PREFIX, read and checked.

    The hashes and the vocabulary are those of the manifest; a PREFIX without one is only held
    against `vocab_size`, where that is given.  Raises DataError for a path that is neither.
    """
    targets = [target for path in paths for target in _targets(Path(path))]
    with LateProgress(progress) as bar:
        for prefix, manifest in targets:
            bar.start(f"reading {prefix.name}", _size(prefix))
            yield _check(prefix, manifest, vocab_size, bar)


def _targets(path: Path) -> list[tuple[Path, Manifest | None]]:
    if path.is_dir():
        manifest = manifest_of(path, "--verify")
        return [(path / name, manifest) for name in manifest.datasets]
    if path.suffix in (".bin", ".idx") and path.is_file():
        path = path.with_suffix("")
    if not idx_path(path).exists() and not bin_path(path).exists():
        expected = "neither a prepared folder, nor the PREFIX of a .bin and an .idx"
        raise DataError([Problem("--verify", path, expected)])
    beside = manifest_of(path.parent, "--verify") if (path.parent / MANIFEST).exists() else None
    return [(path, beside if beside and path.name in beside.datasets else None)]


def _size(prefix: Path) -> int:
    files = bin_path(prefix), idx_path(prefix)
    return sum(file.stat().st_size for file in files if file.exists())


def _check(
    prefix: Path, manifest: Manifest | None, vocab_size: int | None, bar: LateProgress
) -> Checked:
    try:
        if manifest is None:
            dataset = IndexedDataset(prefix)
            problems = verify(prefix, vocab_size, None, bar.advance)
        else:
            entry = manifest.datasets[prefix.name]
            _check_tokenizer(prefix.parent, manifest)
            dataset = open_entry(prefix, entry)
            problems = verify(prefix, manifest.vocab_size, entry.sha256, bar.advance)
    except DataError as error:
        return Checked(prefix, error.problems)
    counts = dataset.documents, len(dataset), dataset.tokens
    return Checked(prefix, problems, "{:,} documents, {:,} sequences, {:,} tokens".format(*counts))


def _check_tokenizer(folder: Path, manifest: Manifest) -> None:
    try:
        found = Tokenizer.load(folder / TOKENIZER).sha256
    except ValueError as error:
        raise DataError([Problem("tokenizer", folder / TOKENIZER, str(error))]) from error
    if found != manifest.tokenizer["sha256"]:
        expected = "is not the one that made the tokens"
        raise DataError([Problem("tokenizer", folder / TOKENIZER, expected)])
