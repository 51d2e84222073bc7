"""`hydratron prepare --merge`: several prepared folders, or several pairs of files, as one."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

from hydratron.data.corpus import open_entry
from hydratron.data.folders import locked, replacing
from hydratron.data.indexed import IndexedDataset, bin_path, hashes, idx_path, merge
from hydratron.data.manifest import (
    TOKENIZER,
    DatasetEntry,
    Manifest,
    write_manifest,
)
from hydratron.data.preparer.existing import check_output, manifest_of
from hydratron.data.progress import LateProgress
from hydratron.errors import DataError, Problem


def merge_paths(paths: Sequence[str], output: Path, force: bool, progress: bool) -> list[Path]:
    """Write the documents of all paths, in this order, to `output`; the prefixes written.

    Folders become a folder, and need the same tokenizer, level and datasets; `force` lets it
    replace a prepared one.  Prefixes become a prefix.  Raises DataError.
    """
    sources = [Path(path) for path in paths]
    output = output.absolute()
    folders = [source.is_dir() for source in sources]
    try:
        if all(folders):
            return _merge_folders(sources, output, force, progress)
        if any(folders):
            _refuse("--merge", sources[folders.index(False)], "is no folder, but another path is")
        for path in (idx_path(output), bin_path(output)):
            if path.exists():
                _refuse("--output", path, "exists; name another PREFIX")
        merge(sources, output)
    except OSError as error:
        _refuse("--output", output, f"cannot be written: {error.strerror or error}")
    return [output]


def _merge_folders(
    sources: Sequence[Path], output: Path, force: bool, progress: bool
) -> list[Path]:
    manifests = [manifest_of(source, "--merge") for source in sources]
    first = manifests[0]
    for source, manifest in zip(sources, manifests, strict=True):
        if manifest.tokenizer["sha256"] != first.tokenizer["sha256"]:
            _refuse("--merge", source, f"was made by another tokenizer than {sources[0]}")
        if manifest.level != first.level:
            _refuse("--merge", source, f"has {manifest.level}s, but {sources[0]} {first.level}s")
        if manifest.datasets.keys() != first.datasets.keys():
            _refuse("--merge", source, f"has not the datasets of {sources[0]}")
        for name, entry in manifest.datasets.items():
            open_entry(source / name, entry)
    with LateProgress(progress) as bar, locked(output, bar):
        check_output(output, force)
        with replacing(output) as building:
            bar.start("merging")
            for name in first.datasets:
                merge([source / name for source in sources], building / name)
            shutil.copy(sources[0] / TOKENIZER, building / TOKENIZER)
            write_manifest(building, _merged(sources, manifests, building))
    return [output / name for name in first.datasets]


def _merged(sources: Sequence[Path], manifests: Sequence[Manifest], folder: Path) -> Manifest:
    first = manifests[0]
    entries = {}
    for name in first.datasets:
        entries[name] = DatasetEntry.of(IndexedDataset(folder / name), hashes(folder / name))
    parts = [
        {"name": source.name, "datasets": {n: asdict(e) for n, e in manifest.datasets.items()}}
        for source, manifest in zip(sources, manifests, strict=True)
    ]
    return Manifest(
        level=first.level,
        tokenizer=first.tokenizer,
        vocab_size=first.vocab_size,
        eod=first.eod,
        dtype=first.dtype,
        datasets=entries,
        origin={"merged": parts},
        versions=first.versions,
    )


def _refuse(key: str, value: object, expected: str) -> NoReturn:
    raise DataError([Problem(key, value, expected)])
