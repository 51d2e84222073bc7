"""What a file holds: a text, JSON lines, or the rows of a parquet file, each read as a stream."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydratron.data.text.cutting import check_words
from hydratron.data.text.files import READ_BYTES, Advance, Reader, refuse

BYTE_ORDER_MARK = codecs.BOM_UTF8
MOST_ROWS = 1024
# Larger strings of mixed characters, one after another, leave gaps in the heap that add up.
DECODED_BYTES = 1 << 15
LONGEST_LINE = 1 << 28
SURROGATE = re.compile("[\ud800-\udfff]")
CHOICE = "choose one with --key, in training with data.text_key"


def text_chunks(reader: Reader, path: Path) -> Iterator[str]:
    """The characters of a UTF-8 file, without a byte order mark; newlines stay as they are."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset, more = 0, True
    while more:
        content = reader.read(DECODED_BYTES)
        more = bool(content)
        if offset == 0 and content.startswith(BYTE_ORDER_MARK):
            content, offset = content[len(BYTE_ORDER_MARK) :], len(BYTE_ORDER_MARK)
        waiting = len(decoder.getstate()[0])
        try:
            text = decoder.decode(content, final=not more)
        except UnicodeDecodeError as error:
            at = offset - waiting + error.start
            refuse(path, f"not UTF-8 at byte {at}; convert it to UTF-8")
        offset += len(content)
        if text:
            yield text


def line_blocks(reader: Reader, path: Path, size: int = READ_BYTES) -> Iterator[tuple[int, bytes]]:
    """(number of the first line, whole lines), about `size` bytes each or one longer line.

    Raises DataError, with the `path`, for a line without end.
    """
    number = 1
    parts: list[bytes] = []
    while content := reader.read(size):
        end = content.rfind(b"\n") + 1
        if end:
            block = b"".join([*parts, content[:end]])
            yield number, block
            number += block.count(b"\n")
            parts = []
        parts.append(content[end:])
        if len(parts) * size > LONGEST_LINE:
            refuse(f"{path}:{number}", f"a line of more than {LONGEST_LINE:,} bytes is none")
    if last := b"".join(parts):
        yield number, last


def parse_lines(
    path: Path, first: int, block: bytes, keys: Sequence[str]
) -> Iterator[tuple[str, ...]]:
    """The texts under the keys, for every line with an object; an absent text (null) is empty.

    Raises DataError with the file and the number of the line.
    """
    for number, line in enumerate(block.split(b"\n"), start=first):
        if line and (stripped := _decode(line, path, number).strip()):
            yield _texts(stripped, f"{path}:{number}", keys)


def _decode(line: bytes, path: Path, number: int) -> str:
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        refuse(f"{path}:{number}", f"not UTF-8 at byte {error.start}; convert it to UTF-8")


def _texts(line: str, place: str, keys: Sequence[str]) -> tuple[str, ...]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        refuse(place, f"not a JSON object: {error}")
    if not isinstance(entry, dict):
        refuse(place, 'each line must be a JSON object such as {"text": "..."}')
    for key in keys:
        # JSON lets the last one win, and with it nobody knows which text was meant.
        if line.count(f'"{key}"') > 1 and _times(line, key) > 1:
            refuse(place, f"has the key {key!r} {_times(line, key)} times")
    return tuple(_text(entry, key, place) for key in keys)


def _times(line: str, key: str) -> int:
    """How often the object of a line has a key; not those inside it."""
    pairs = json.loads(line, object_pairs_hook=list)
    return [name for name, _ in pairs].count(key)


def _text(entry: dict[str, Any], key: str, place: str) -> str:
    if key not in entry:
        keys = ", ".join(sorted(entry)) or "none"
        refuse(place, f"no key {key!r} (keys: {keys}); {CHOICE}")
    text = entry[key]
    if text is None:
        return ""
    if not isinstance(text, str):
        refuse(place, f"the value of {key!r} must be a string")
    if is_half(text):
        refuse(place, f"the value of {key!r} has half of a surrogate pair")
    check_words(text, place)
    return text


def is_half(text: str) -> bool:
    """Whether it has half of a surrogate pair, which JSON can say and UTF-8 cannot."""
    return not text.isascii() and SURROGATE.search(text) is not None


def parquet_rows(path: Path, keys: Sequence[str], advance: Advance) -> Iterator[tuple[str, ...]]:
    """The texts of every row, in the columns named like the keys; an absent text is empty.

    Raises DataError with the file, and the number of the row (from 1) where there is one.
    """
    import pyarrow
    from pyarrow import parquet

    row, size, told = 1, path.stat().st_size, 0
    try:
        with parquet.ParquetFile(path, memory_map=True) as file:
            _check_columns(file.schema_arrow, keys, path)
            for batch in file.iter_batches(_rows_at_once(file.metadata), columns=list(keys)):
                columns = [_strings(batch.column(key), path, row, key) for key in keys]
                yield from zip(*columns, strict=True)
                row += batch.num_rows
                # Each row counts as an equal share of the file.
                done = size * (row - 1) // file.metadata.num_rows
                advance(done - told)
                told = done
    except (OSError, pyarrow.ArrowException) as error:
        refuse(path, f"cannot be read: {str(error).splitlines()[0]}")


def _rows_at_once(metadata: Any) -> int:
    """About a megabyte of rows."""
    groups = range(metadata.num_row_groups)
    size = sum(metadata.row_group(i).total_byte_size for i in groups)
    return max(1, min(MOST_ROWS, READ_BYTES * metadata.num_rows // max(size, 1)))


def _check_columns(schema: Any, keys: Sequence[str], path: Path) -> None:
    from pyarrow import types

    for key in keys:
        if key not in schema.names:
            columns = ", ".join(schema.names) or "none"
            refuse(path, f"no column {key!r} (columns: {columns}); {CHOICE}")
        if schema.names.count(key) > 1:
            refuse(path, f"has {schema.names.count(key)} columns {key!r}; rename all but one")
        kind = schema.field(key).type
        kind = kind.value_type if types.is_dictionary(kind) else kind
        if not (types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)):
            refuse(path, f"the column {key!r} holds {kind}, not strings")


def _strings(column: Any, path: Path, row: int, key: str) -> list[str]:
    try:
        return [text or "" for text in column.to_pylist()]
    except UnicodeDecodeError:
        for i, value in enumerate(column):
            try:
                value.as_py()
            except UnicodeDecodeError as error:
                at = f"not UTF-8 at byte {error.start}"
                refuse(f"{path}, row {row + i}", f"the value of {key!r} is {at}")
        raise
