"""Reads token files where they lie: both are memory-mapped, and opening checks all of the index.

What opening cannot see is a document boundary that moved between its neighbours, and a token that
changed: no other byte of the two files depends on them.  Nor can it tell float64 under its old
code 7 from int64, should that code's one bit flip.  `verify` finds all three by their hash.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from hydratron.data.indexed.format import (
    CHUNK,
    DTYPES,
    FLOAT_CODE,
    HEADER,
    LEGACY_MAGIC,
    MAGIC,
    VERSION,
    bin_path,
    idx_path,
)
from hydratron.data.mapped import mapped
from hydratron.errors import DataError, Problem


class IndexedDataset:
    """The sequences of `PREFIX.bin`/`PREFIX.idx`, read where they lie; modes are not read.

    `dataset[i]` is sequence i as a read-only array of `dtype`; `sizes` is int32 [sequences] in
    tokens; `doc_idx` is int64 [documents + 1]; `tokens` counts those of all sequences.  Raises
    DataError when the two files do not fit.
    """

    def __init__(self, prefix: str | Path) -> None:
        self.prefix = Path(prefix)
        index = _map(idx_path(prefix))
        code, sequences, entries = self._header(index)
        end = HEADER.size + 12 * sequences + 8 * entries
        if index.size not in (end, end + sequences):
            self._refuse(f"{index.size} bytes, but its header announces {end}")
        at_offsets, at_documents = HEADER.size + 4 * sequences, HEADER.size + 12 * sequences
        # The header's 34 bytes leave these three unaligned: whatever needs aligned numbers, such
        # as np.searchsorted, copies all of them.
        self.sizes: npt.NDArray[np.int32] = index[HEADER.size : at_offsets].view("<i4")
        self._offsets: npt.NDArray[np.int64] = index[at_offsets:at_documents].view("<i8")
        self.doc_idx: npt.NDArray[np.int64] = index[at_documents:end].view("<i8")
        self._check_documents()
        if sequences and self.sizes.min() < 0:
            self._refuse("a sequence has a negative length")
        self.tokens = int(self.sizes.sum(dtype=np.int64))

        content = _map(bin_path(prefix))
        self.dtype = self._type_of(code, content)
        if content.size != self.tokens * self.dtype.itemsize:
            self._refuse(
                f"{self.tokens} tokens of {self.dtype} announced, "
                f"but {bin_path(prefix).name} holds {content.size} bytes"
            )
        self._check_offsets()
        self._tokens = content.view(self.dtype)

    def _header(self, index: npt.NDArray[np.uint8]) -> tuple[int, int, int]:
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
        if code not in DTYPES:
            self._refuse(f"type code {code}; the codes are 1 to 8")
        return code, sequences, entries

    def _check_documents(self) -> None:
        sequences, documents = len(self.sizes), self.doc_idx
        if not documents.size or documents[0] != 0 or documents[-1] != sequences:
            self._refuse(f"the document index does not run from 0 to {sequences} sequences")
        for start in range(0, len(documents), CHUNK):
            part = documents[start : start + CHUNK + 1]
            if (part[1:] < part[:-1]).any():
                self._refuse("the document index decreases")

    def _type_of(self, code: int, content: npt.NDArray[np.uint8]) -> np.dtype[Any]:
        double = np.dtype("<f8")
        if code != FLOAT_CODE or content.size != self.tokens * double.itemsize or not content.size:
            return DTYPES[code]
        # One bit tells this code from that of int64, which is as wide.  Read as float64, integers
        # below 2^52 are subnormal and negative ones are not numbers.
        tokens = content.view(double)
        for start in range(0, len(tokens), CHUNK):
            others = tokens[start : start + CHUNK]
            others = others[others != 0]
            if others.size:
                if not abs(others[0]) >= np.finfo(double).tiny:
                    self._refuse(f"type code {code} of floats, but the tokens are integers")
                break
        return double

    def _check_offsets(self) -> None:
        end = 0
        for start in range(0, len(self.sizes), CHUNK):
            lengths = self.sizes[start : start + CHUNK].astype(np.int64) * self.dtype.itemsize
            ends = end + np.cumsum(lengths)
            if not np.array_equal(self._offsets[start : start + CHUNK], ends - lengths):
                self._refuse("the byte offsets do not follow from the lengths")
            end = int(ends[-1])

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
    def documents(self) -> int:
        return len(self.doc_idx) - 1

    def document_of(self, sequence: int) -> int:
        """The document that holds a sequence; IndexError when there is no such sequence."""
        if not 0 <= sequence < len(self):
            raise IndexError(f"sequence {sequence} of {len(self)}")
        # The last document that starts at or before it: the empty ones there come first.
        return bisect_right(self.doc_idx, sequence) - 1

    def sequence_at(self, token: int) -> tuple[int, int]:
        """(sequence, offset in it) of token number `token` of the file, or IndexError."""
        if not 0 <= token < self.tokens:
            raise IndexError(f"token {token} of {self.tokens}")
        position = token * self.dtype.itemsize
        sequence = bisect_right(self._offsets, position) - 1
        return sequence, (position - int(self._offsets[sequence])) // self.dtype.itemsize

    def get(self, i: int, offset: int = 0, length: int | None = None) -> npt.NDArray[Any]:
        """`length` tokens of sequence i from `offset` on (default: to its end), [length]."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"sequence {i} of {len(self)}")
        size = int(self.sizes[i])
        length = size - offset if length is None else length
        if offset < 0 or length < 0 or offset + length > size:
            raise IndexError(f"tokens {offset} to {offset + length} of sequence {i} with {size}")
        start = int(self._offsets[i]) // self.dtype.itemsize + offset
        return self._tokens[start : start + length]


def _map(path: Path) -> npt.NDArray[np.uint8]:
    try:
        return mapped(path)
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        raise DataError([Problem("token file", path, reason)]) from error
