"""Folders of other formats that somebody made to do harm: Hugging Face's, and token files."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
import zipfile
from pathlib import Path

from tests.helpers.hostile import DEEP, Calls, Make, beside


def _safetensors(header: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header


def _zip_bomb(folder: Path, command: str) -> None:
    (folder / "model.safetensors").unlink()
    with zipfile.ZipFile(folder / "pytorch_model.bin", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Calls(os.system, command)))
        archive.writestr("archive/data/0", bytes(1 << 26))


def _index_elsewhere(folder: Path, command: str) -> None:
    shutil.move(folder / "model.safetensors", folder.parent / "x")
    index = '{"weight_map": {"transformer.wte.weight": "../x"}}'
    (folder / "model.safetensors.index.json").write_text(index)


def _far(start: int, end: int) -> bytes:
    row = {"dtype": "F32", "shape": [1 << 31, 1 << 31], "data_offsets": [start, end]}
    return json.dumps({"transformer.wte.weight": row}).encode()


# To convert and init_from, in the place of a file of Hugging Face's.
FOREIGN: dict[str, Make] = {
    "a header of 2**62 bytes": beside("model.safetensors", _safetensors(b"{}", 1 << 62)),
    "a header without end": beside("model.safetensors", _safetensors(DEEP.encode())),
    "tensors outside the file": beside("model.safetensors", _safetensors(_far(0, 1 << 62))),
    "tensors before the file": beside("model.safetensors", _safetensors(_far(-8, 8))),
    "a pickle in a zip bomb": _zip_bomb,
    "an index that names ../": _index_elsewhere,
    "code of their own": beside(
        "config.json",
        '{"model_type": "gpt2", "auto_map": {"AutoModel": "modeling.Evil"}, "n_layer": "COMMAND"}',
    ),
    "a configuration without end": beside("config.json", DEEP),
    "a configuration of 5,000 digits": beside(
        "config.json", '{"model_type": "gpt2", "n_layer": ' + "9" * 5000 + "}"
    ),
    "a model of 10**12 layers": beside(
        "config.json",
        '{"model_type": "gpt2", "n_layer": 1000000000000, "n_embd": 8, "n_head": 1,'
        ' "n_positions": 8, "vocab_size": 300}',
    ),
    "their tokenizer without end": beside("tokenizer.json", DEEP),
}


def _index(content: bytes) -> Make:
    def make(folder: Path, command: str) -> None:
        (folder / "mine.idx").write_bytes(content)
        (folder / "mine.bin").write_bytes(b"12345678")

    return make


def _indexed(code: int, sequences: int, documents: int, body: bytes = b"") -> bytes:
    return b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, code, sequences, documents) + body


# To evaluate and train as data: the folder's mine.bin and mine.idx, or its mine.txt.
TOKENS: dict[str, Make] = {
    "an index of 2**62 sequences": _index(_indexed(4, 1 << 62, 1 << 62)),
    "an index of a type of nobody's": _index(_indexed(99, 1, 1, bytes(64))),
    "sizes below zero": _index(
        _indexed(8, 1, 2, struct.pack("<i", -5) + struct.pack("<q", 0) + struct.pack("<qq", 0, 1))
    ),
    "places outside": _index(
        _indexed(
            8, 1, 2, struct.pack("<i", 4) + struct.pack("<q", 1 << 40) + struct.pack("<qq", 0, 1)
        )
    ),
    "an empty index": _index(b""),
}
