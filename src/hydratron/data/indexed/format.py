"""The MMIDIDX format: what the two files of a prefix hold, and which type each code names.

The `.bin` holds bare little-endian tokens.  The `.idx` holds a header of 34 bytes, the length of
each sequence (int32), its byte offset (int64), and for each document the sequence it starts with
(int64), closed by the number of sequences.  A multimodal index goes on with one byte per sequence.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

MAGIC = b"MMIDIDX\x00\x00"
LEGACY_MAGIC = b"TNTIDX\x00\x00"
HEADER = struct.Struct("<9sQBQQ")
VERSION = 1

# Code 7 was float64 up to Megatron-LM 2.x and is float32 in later ones, where 6 alone is float64.
# Written as the later ones read it; when read, the size of the .bin tells which was meant.
FLOAT_CODE = 7
CODES = {
    np.dtype(name): code
    for name, code in {
        "u1": 1,
        "i1": 2,
        "<i2": 3,
        "<i4": 4,
        "<i8": 5,
        "<f8": 6,
        "<f4": FLOAT_CODE,
        "<u2": 8,
    }.items()
}
DTYPES = {code: dtype for dtype, code in CODES.items()}
LARGEST_UINT16_VOCAB = 65500

# Entries of an index, or bytes of tokens, that are worked on at a time.
CHUNK = 1 << 20


def token_dtype(vocab_size: int) -> np.dtype[Any]:
    """Megatron-LM's choice: uint16 below 65,500 entries, else int32."""
    return np.dtype("<u2" if vocab_size < LARGEST_UINT16_VOCAB else "<i4")


def bin_path(prefix: str | Path) -> Path:
    """The file of tokens; the prefix may contain dots."""
    return Path(f"{prefix}.bin")


def idx_path(prefix: str | Path) -> Path:
    """The file of lengths, offsets and documents."""
    return Path(f"{prefix}.idx")
