"""Token files in Megatron-LM's `.bin`/`.idx` format (MMIDIDX): a memory-mapped reader and a writer.

A prefix names both files.  The `.bin` holds bare little-endian tokens.  The `.idx` holds a header
of 34 bytes, the length of each sequence, its byte offset, and for each document the sequence it
starts with, closed by the number of sequences.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NoReturn

import numpy as np
import numpy.typing as npt

from hydratron.errors import DataError, Problem

MAGIC = b"MMIDIDX\x00\x00"
LEGACY_MAGIC = b"TNTIDX\x00\x00"
HEADER = struct.Struct("<9sQBQQ")
VERSION = 1
# Code 7 is absent: it was float64 up to Megatron-LM 2.x and is float32 in later ones.
DTYPES = {
    code: np.dtype(name)
    for code, name in {1: "u1", 2: "i1", 3: "<i2", 4: "<i4", 5: "<i8", 6: "<f8", 8: "<u2"}.items()
}
AMBIGUOUS_FLOAT = 7
CODES = {dtype: code for code, dtype in DTYPES.items()}
LARGEST_UINT16_VOCAB = 65500


def token_dtype(vocab_size: int) -> np.dtype[Any]:
    """Megatron-LM's choice: uint16 below 65,500 entries, else int32."""
    return np.dtype("<u2" if vocab_size < LARGEST_UINT16_VOCAB else "<i4")


def bin_path(prefix: str | Path) -> Path:
    """The file of tokens; the prefix may contain dots."""
    return Path(f"{prefix}.bin")


def idx_path(prefix: str | Path) -> Path:
    """The file of lengths, offsets and documents."""
    return Path(f"{prefix}.idx")


class IndexedDataset:
    """The sequences of `PREFIX.bin`/`PREFIX.idx`, read where they lie; modes are not read.

    `dataset[i]` is sequence i as a read-only array of `dtype`; `sizes` is int32 [sequences] in
    tokens; `doc_idx` is int64 [documents + 1].  Raises DataError when the two files do not fit.
    """

    def __init__(self, prefix: str | Path) -> None:
        self.prefix = Path(prefix)
        index = _map(idx_path(prefix))
        self.dtype, sequences, entries, float_code = self._header(index)
        end = HEADER.size + 12 * sequences + 8 * entries
        # A multimodal index goes on with one byte per sequence.
        if index.size not in (end, end + sequences):
            self._refuse(f"{index.size} bytes, but its header announces {end}")

        at_offsets, at_documents = HEADER.size + 4 * sequences, HEADER.size + 12 * sequences
        self.sizes: npt.NDArray[np.int32] = index[HEADER.size : at_offsets].view("<i4")
        offsets = index[at_offsets:at_documents].view("<i8")
        self.doc_idx: npt.NDArray[np.int64] = index[at_documents:end].view("<i8")
        self._check_documents(sequences)

        if sequences and self.sizes.min() < 0:
            self._refuse("a sequence has a negative length")
        self._ends: npt.NDArray[np.int64] = np.cumsum(self.sizes, dtype=np.int64)
        tokens = _map(bin_path(prefix))
        if float_code and tokens.size == self.tokens * 4:
            self.dtype = np.dtype("<f4")
        if tokens.size != self.tokens * self.dtype.itemsize:
            self._refuse(
                f"{self.tokens} tokens of {self.dtype} announced, "
                f"but {bin_path(prefix).name} holds {tokens.size} bytes"
            )
        if not np.array_equal(offsets, (self._ends - self.sizes) * self.dtype.itemsize):
            self._refuse("the byte offsets do not follow from the lengths")
        self._tokens = tokens.view(self.dtype)

    def _header(self, index: npt.NDArray[np.uint8]) -> tuple[np.dtype[Any], int, int, bool]:
        start = index[: HEADER.size].tobytes()
        if start.startswith(LEGACY_MAGIC):
            self._refuse("the older TNTIDX format is not read; convert it to MMIDIDX")
        if not start.startswith(MAGIC):
            self._refuse(f"starts with {start[:9]!r}; an MMIDIDX index starts with {MAGIC!r}")
        if len(start) < HEADER.size:
            self._refuse(f"{len(start)} bytes; an index has at least {HEADER.size}")
        _, version, code, sequences, entries = HEADER.unpack(start)
        if version != VERSION:
            self._refuse(f"version {version}; only version {VERSION} is known")
        if code not in DTYPES and code != AMBIGUOUS_FLOAT:
            self._refuse(f"type code {code}; the codes are 1 to 8")
        float_code = code == AMBIGUOUS_FLOAT
        return np.dtype("<f8") if float_code else DTYPES[code], sequences, entries, float_code

    def _check_documents(self, sequences: int) -> None:
        documents = self.doc_idx
        if not documents.size or documents[0] != 0 or documents[-1] != sequences:
            self._refuse(f"the document index does not run from 0 to {sequences} sequences")
        if (documents[1:] < documents[:-1]).any():
            self._refuse("the document index decreases")

    def _refuse(self, reason: str) -> NoReturn:
        raise DataError([Problem("token file", idx_path(self.prefix), reason)])

    def __reduce__(self) -> tuple[type[IndexedDataset], tuple[Path]]:
        # Another process maps the files again instead of receiving their content.
        return type(self), (self.prefix,)

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, i: int) -> npt.NDArray[Any]:
        return self.get(i)

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        return (self.get(i) for i in range(len(self)))

    @property
    def tokens(self) -> int:
        """Tokens of all sequences together."""
        return int(self._ends[-1]) if len(self._ends) else 0

    @property
    def documents(self) -> int:
        return len(self.doc_idx) - 1

    def get(self, i: int, offset: int = 0, length: int | None = None) -> npt.NDArray[Any]:
        """`length` tokens of sequence i from `offset` on (default: to its end), [length]."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"sequence {i} of {len(self)}")
        size = int(self.sizes[i])
        length = size - offset if length is None else length
        if offset < 0 or length < 0 or offset + length > size:
            raise IndexError(f"tokens {offset} to {offset + length} of sequence {i} with {size}")
        start = int(self._ends[i]) - size + offset
        return self._tokens[start : start + length]


def _map(path: Path) -> npt.NDArray[np.uint8]:
    """The bytes of a file, mapped read-only; an empty file cannot be mapped."""
    try:
        if path.stat().st_size == 0:
            return np.frombuffer(b"", dtype=np.uint8)
        # A plain array over the map: slicing np.memmap itself is several times slower.
        return np.memmap(path, dtype=np.uint8, mode="r").view(np.ndarray)
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        raise DataError([Problem("token file", path, reason)]) from error


class IndexedDatasetWriter:
    """Writes `PREFIX.bin`/`PREFIX.idx`, under temporary names until the block ends well.

    One call of `add_document` per document, or `add` for each of its sequences and then
    `end_document`.  An exception that leaves the block leaves no file behind.
    """

    def __init__(self, prefix: str | Path, dtype: npt.DTypeLike) -> None:
        self.prefix = Path(prefix)
        self.dtype = np.dtype(dtype).newbyteorder("<")
        if self.dtype not in CODES:
            raise ValueError(f"{self.dtype} has no code in the format")
        self._sizes: list[int] = []
        self._documents = [0]
        self._temporaries: list[str] = []

    def __enter__(self) -> IndexedDatasetWriter:
        self.prefix.parent.mkdir(parents=True, exist_ok=True)
        self._bin = self._open()
        return self

    def _open(self) -> BinaryIO:
        handle, name = tempfile.mkstemp(dir=self.prefix.parent, prefix=f".{self.prefix.name}.")
        self._temporaries.append(name)
        return os.fdopen(handle, "wb")

    def add(self, tokens: npt.ArrayLike) -> None:
        """Append one sequence, [length]; ValueError when a token does not fit the type."""
        given = np.asarray(tokens)
        if given.ndim != 1:
            raise ValueError(f"a sequence has one dimension, not {given.ndim}")
        if given.size and self.dtype.kind in "iu":
            limits = np.iinfo(self.dtype)
            low, high = given.min(), given.max()
            if given.dtype.kind not in "iu" or low < limits.min or high > limits.max:
                raise ValueError(f"tokens {low} to {high} do not fit {self.dtype}")
        self._bin.write(given.astype(self.dtype).tobytes())
        self._sizes.append(given.size)

    def end_document(self) -> None:
        """The sequences added since the last call are one document."""
        self._documents.append(len(self._sizes))

    def add_document(self, sequences: Iterable[npt.ArrayLike]) -> None:
        """Append a whole document."""
        for sequence in sequences:
            self.add(sequence)
        self.end_document()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._bin.close()
            if kind is None:
                self._finish()
        finally:
            for name in self._temporaries:
                Path(name).unlink(missing_ok=True)

    def _finish(self) -> None:
        if self._documents[-1] != len(self._sizes):
            raise ValueError("the last document was not ended")
        sizes = np.asarray(self._sizes, dtype="<i4")
        ends = np.cumsum(sizes, dtype=np.int64)
        with self._open() as file:
            counts = len(self._sizes), len(self._documents)
            file.write(HEADER.pack(MAGIC, VERSION, CODES[self.dtype], *counts))
            file.write(sizes.tobytes())
            file.write(((ends - sizes) * self.dtype.itemsize).astype("<i8").tobytes())
            file.write(np.asarray(self._documents, dtype="<i8").tobytes())
        # The index goes last: without it a reader sees no dataset.
        targets = bin_path(self.prefix), idx_path(self.prefix)
        for name, target in zip(self._temporaries, targets, strict=True):
            os.chmod(name, 0o644)
            os.replace(name, target)
