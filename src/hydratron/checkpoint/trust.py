"""Reading a checkpoint that anybody may have written: nothing in it can run.

Private names of torch.distributed.checkpoint stand in this module alone: `_StorageInfo`, the names
of its files, and the classes that its `.metadata` pickles.  Tried with torch 2.11 and 2.13.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint import FileSystemReader, FileSystemWriter, Metadata
from torch.distributed.checkpoint.filesystem import DEFAULT_SUFFIX, FileSystem, _StorageInfo
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.utils.serialization import config

from hydratron.checkpoint.following import followed
from hydratron.checkpoint.manifest import METADATA
from hydratron.checkpoint.participant import Saved
from hydratron.errors import HydratronError

FILES = 4  # of a rank, at most
CUT = 16 << 20  # bytes of a file below which no second one is worth it
DCP = "torch.distributed.checkpoint"
METADATA_CLASSES = (
    "Metadata MetadataIndex TensorStorageMetadata BytesStorageMetadata ChunkStorageMetadata "
    "TensorProperties StorageMeta _MEM_FORMAT_ENCODING"
)
ALLOWED = {
    ("torch", "Size"),
    ("torch.serialization", "_get_layout"),
    ("pathlib", "PosixPath"),  # Where torch's own writer wrote, which ours leaves out.
    (f"{DCP}.filesystem", "_StorageInfo"),
    *((f"{DCP}.metadata", name) for name in METADATA_CLASSES.split()),
    *((f"{DCP}.planner", n) for n in ("SavePlan", "WriteItem", "WriteItemType", "TensorWriteData")),
}


class TrustedWriter(FileSystemWriter):
    """Leaves out of `.metadata` where on this machine it was written, and names a full disk.

    `prints` has size and hash of every shard that this rank wrote, by its name.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.prints: dict[str, dict[str, Any]] = {}
        self.fs = _Hashing(self.prints)

    def storage_meta(self) -> None:
        return None

    def write_data(self, plan: Any, planner: Any) -> Any:
        # A file's hash takes one core: large shards are cut, as far as the rank has cores.
        size = sum(_bytes(item.tensor_data) for item in plan.items)
        most = min(torch.get_num_threads(), FILES, len(plan.items), size // CUT)
        self.thread_count = max(1, most)
        try:
            return super().write_data(plan, planner)
        except Exception as error:
            # torch closes its archive after the file's error, and says that the archive is broken.
            before: BaseException | None = error
            while before is not None and not isinstance(before, OSError):
                before = before.__cause__ or before.__context__
            raise before or error from None


class _Hashing(FileSystem):
    """Hashes the shards while they are written, which is why torch need not sum them too."""

    def __init__(self, prints: dict[str, dict[str, Any]]) -> None:
        self.prints = prints

    @contextmanager
    def create_stream(self, path: Any, mode: str) -> Iterator[Any]:
        if not str(path).endswith(DEFAULT_SUFFIX):
            with super().create_stream(path, mode) as stream:
                yield stream
            return
        unsummed = config.patch("save.compute_crc32", False)  # type: ignore[attr-defined]
        with unsummed, followed(Path(path), self.prints) as stream:
            yield stream


class TrustedReader(FileSystemReader):
    """Reads tensors, and only from `files` of the folder, whose names are plain."""

    def __init__(self, path: Path, files: Collection[str]) -> None:
        super().__init__(path)
        self.file, self.files = path / METADATA, files

    def saved(self) -> dict[str, Saved]:
        """What is known of every tensor."""
        tensors: dict[str, Any] = self.read_metadata().state_dict_metadata
        return {name: Saved(t.size, t.properties.dtype) for name, t in tensors.items()}

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        try:
            with self.file.open("rb") as file:
                return self._rebuilt(_Unpickler(file).load())
        except HydratronError:
            raise
        except Exception as error:
            raise HydratronError(f"{self.file}: {type(error).__name__}: {error}") from None

    def _rebuilt(self, read: _Record) -> Metadata:
        """The same in torch's own classes, made of nothing but names, numbers and dtypes."""
        tensors: dict[str, Any] = {}
        for name, tensor in read["state_dict_metadata"].items():
            if tensor.kind != "TensorStorageMetadata":
                raise HydratronError(f"{self.file}: {name} is a pickled object, not a tensor")
            chunks = [
                ChunkStorageMetadata(_size(chunk["offsets"]), _size(chunk["sizes"]))
                for chunk in tensor["chunks"]
            ]
            size = _size(tensor["size"])
            if sum(math.prod(chunk.sizes) for chunk in chunks) != math.prod(size):
                raise HydratronError(f"{self.file}: {name} is not whole")
            properties = TensorProperties(dtype=tensor["properties"].state[0])
            tensors[str(name)] = TensorStorageMetadata(properties, size, chunks)
        places = {}
        for index, place in read["storage_data"].items():
            name = place["relative_path"]
            if name not in self.files or place.state.get("transform_descriptors"):
                raise HydratronError(f"{self.file}: {name!r} is not a file of this checkpoint")
            key = MetadataIndex(str(index["fqn"]), _size(index["offset"]), index["index"])
            places[key] = _StorageInfo(name, int(place["offset"]), int(place["length"]))
        named = sum(math.prod(t.size) * t.properties.dtype.itemsize for t in tensors.values())
        there = sum((self.file.parent / name).stat().st_size for name in self.files)
        if named > there:  # Room is made for what is named, before anything is read.
            said = f"names {named:,} bytes of tensors, {there:,} lie here"
            raise HydratronError(f"{self.file}: {said}")
        return Metadata(tensors, storage_data=places)


class _Record:
    """Stands for whatever class was pickled: it keeps what was written and does nothing."""

    kind = ""

    def __init__(self, *values: Any) -> None:
        self.values = values

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __getitem__(self, field: str) -> Any:
        return self.state[field]


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} has no business in a checkpoint")
        return type(name, (_Record,), {"kind": name})


def _bytes(tensor: Any) -> int:
    """What a part of a tensor, as it stands in torch's plan, takes in its file."""
    return int(math.prod(tensor.chunk.sizes) * tensor.properties.dtype.itemsize) if tensor else 0


def _size(record: _Record) -> torch.Size:
    return torch.Size(*record.values)
