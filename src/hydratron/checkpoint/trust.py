"""Checkpoint files read without running what they hold; tried with torch 2.13.0.

torch's own reader unpickles `.metadata` whole, and the file names in it may lead anywhere.  Here
only its own classes are unpickled, only names that the manifest vouches for are opened, and only
tensors are read.  The private names of torch that this needs stand in this module alone;
`tests/unit/checkpoint/test_trust.py` says which of them a new torch has changed.
"""

from __future__ import annotations

import pickle
from collections.abc import Collection
from pathlib import Path
from typing import Any

from torch.distributed.checkpoint import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta, TensorStorageMetadata

from hydratron.checkpoint.participant import Saved
from hydratron.errors import HydratronError

METADATA = ".metadata"
_DCP = "torch.distributed.checkpoint."
ALLOWED = {
    f"{_DCP}metadata": {
        "Metadata", "MetadataIndex", "TensorStorageMetadata", "BytesStorageMetadata",
        "ChunkStorageMetadata", "TensorProperties", "StorageMeta", "_MEM_FORMAT_ENCODING",
    },
    f"{_DCP}filesystem": {"_StorageInfo"},
    f"{_DCP}planner": {"SavePlan", "WriteItem", "WriteItemType", "TensorWriteData"},
    "torch": {
        "Size", "float16", "bfloat16", "float32", "float64", "uint8", "int8", "int16", "int32",
        "int64", "bool",
    },
    "torch.serialization": {"_get_layout"},
    "collections": {"OrderedDict"},
}  # fmt: skip


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name in ALLOWED.get(module, ()):
            return super().find_class(module, name)
        raise HydratronError(f"{module}.{name} has no place there")


class Writer(FileSystemWriter):
    """Writes no path of this machine into `.metadata`."""

    def storage_meta(self) -> StorageMeta | None:
        return None


class TrustedReader(FileSystemReader):
    """Reads tensors from the files `names` of a checkpoint folder."""

    def __init__(self, path: Path, names: Collection[str]) -> None:
        super().__init__(path)
        self.folder, self.names = path, names

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        """Raises HydratronError for anything but a description of tensors in these files."""
        try:
            with (self.folder / METADATA).open("rb") as file:
                found = _Unpickler(file).load()
            self._check(found)
        except HydratronError as error:
            raise HydratronError(f"{self.folder / METADATA}: not trusted: {error}") from None
        except Exception as error:
            raise HydratronError(f"{self.folder / METADATA}: not readable: {error!r}") from None
        found.storage_meta = found.storage_meta or StorageMeta()
        found.storage_meta.load_id = self.load_id
        return found

    def tensors(self) -> dict[str, Saved]:
        """What is saved, by name."""
        entries = self.read_metadata().state_dict_metadata.items()
        tensors = {name: e for name, e in entries if isinstance(e, TensorStorageMetadata)}
        return {name: Saved(e.size, e.properties.dtype) for name, e in tensors.items()}

    def _check(self, found: Any) -> None:
        if not isinstance(found, Metadata) or not isinstance(found.storage_data, dict):
            raise HydratronError("no description of a checkpoint")
        for name, entry in found.state_dict_metadata.items():
            if not isinstance(entry, TensorStorageMetadata):
                raise HydratronError(f"{name} is no tensor")
        for place in found.storage_data.values():
            if place.relative_path not in self.names:
                raise HydratronError(f"{place.relative_path!r} is no file of the checkpoint")
