"""Checkpoints that somebody made or damaged: refused in one line, and nothing of them runs."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import BytesStorageMetadata, ChunkStorageMetadata

from hydratron.checkpoint import trust
from hydratron.checkpoint.folder import config_text, load, save, verify
from hydratron.errors import HydratronError
from hydratron.hashing import file_sha256
from tests.helpers.participants import Run
from tests.helpers.ranks import RankError, run_ranks

pytestmark = pytest.mark.fault


def write(rank: int, ranks: int, path: Path) -> None:
    run = Run(1)
    run.step(5)
    save(path, run.participants, 1, {"config.yaml": "seed: 1\n"})


def read(rank: int, ranks: int, path: Path) -> None:
    load(path, Run(1).participants)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "step_00000001"
    run_ranks(write, 1, path)
    return path


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / whole.name)


def names(path: Path) -> dict[str, Any]:
    files: dict[str, Any] = json.loads((path / "manifest.json").read_text())["files"]
    return files


def sign(path: Path, *more: str) -> None:
    """Vouch for whatever is there now."""
    files = {
        name: {"bytes": (path / name).stat().st_size, "sha256": file_sha256(path / name)}
        for name in [*names(path), *more]
    }
    (path / "manifest.json").write_text(json.dumps({"files": files}))


def change(path: Path, function: Callable[[Any], None]) -> None:
    """Alter what `.metadata` says, and vouch for it."""
    metadata = pickle.loads((path / ".metadata").read_bytes())
    function(metadata)
    (path / ".metadata").write_bytes(pickle.dumps(metadata))
    sign(path)


def saved(path: Path) -> Any:
    return trust.TrustedReader(path, verify(path)).saved()


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.marker}",)


def test_a_whole_one_is_read(whole: Path) -> None:
    assert {"manifest.json", *verify(whole)} == {file.name for file in whole.iterdir()}
    assert config_text(whole) == "seed: 1\n"
    assert saved(whole)["model/rows"].shape == (8, 3)


@pytest.mark.fault(43)
def test_a_pickle_does_not_run(copy: Path, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    (copy / ".metadata").write_bytes(pickle.dumps(Evil(marker)))
    sign(copy)
    with pytest.raises(HydratronError, match="system has no business in a checkpoint"):
        saved(copy)
    with pytest.raises(RankError, match="has no business"):
        run_ranks(read, 1, copy)
    assert not marker.exists()


@pytest.mark.fault(43)
def test_what_stands_for_a_class_cannot_change_it(copy: Path) -> None:
    """A pickle may set attributes on the classes that it names: they are not the real ones."""
    attack = b"\x80\x02ctorch.distributed.checkpoint.filesystem\n_StorageInfo\nN}X\x04\x00\x00\x00"
    (copy / ".metadata").write_bytes(attack + b"evilX\x01\x00\x00\x00xs\x86b.")
    sign(copy)
    with pytest.raises(HydratronError, match=r"\.metadata: "):
        saved(copy)
    assert not hasattr(_StorageInfo, "evil")


def _byte_entry(metadata: Any) -> None:
    metadata.state_dict_metadata["model/rows"] = BytesStorageMetadata()


def _gap(metadata: Any) -> None:
    metadata.state_dict_metadata["model/rows"].chunks = []


def _elsewhere(path: str) -> Callable[[Any], None]:
    def point(metadata: Any) -> None:
        for place in metadata.storage_data.values():
            place.relative_path = path

    return point


def _transformed(metadata: Any) -> None:
    for place in metadata.storage_data.values():
        place.transform_descriptors = ["zstd"]


@pytest.mark.fault(43)
@pytest.mark.parametrize(
    ("function", "said"),
    [
        (_byte_entry, "model/rows is a pickled object, not a tensor"),
        (_gap, "model/rows is not whole"),
        (_elsewhere("../x.distcp"), "'../x.distcp' is not a file of this checkpoint"),
        (_elsewhere("/etc/passwd"), "'/etc/passwd' is not a file of this checkpoint"),
        (_transformed, "is not a file of this checkpoint"),
        (lambda metadata: metadata.__dict__.clear(), r"\.metadata: "),
    ],
)
def test_metadata_is_read_with_care(copy: Path, function: Any, said: str) -> None:
    change(copy, function)
    with pytest.raises(HydratronError, match=said):
        saved(copy)


@pytest.mark.fault(49)
@pytest.mark.parametrize(
    "name", ["../config.yaml", "/etc/hostname", "a/b", ".", "..", "", "x\x1b[2J", "a\\b"]
)
def test_a_manifest_names_files_of_its_folder_only(copy: Path, name: str) -> None:
    (copy / "manifest.json").write_text(json.dumps({"files": names(copy) | {name: {}}}))
    with pytest.raises(HydratronError, match="no file of this folder") as caught:
        verify(copy)
    assert "\x1b" not in str(caught.value)


@pytest.mark.fault(49)
@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"files": []}', '{"files": {}}', "[" * 100_000, "shard", "state.json"],
)
def test_an_emptied_manifest_is_refused(copy: Path, content: str) -> None:
    lacking = {"shard": "__0_0.distcp"}.get(content, content)
    files = {name: print_ for name, print_ in names(copy).items() if name != lacking}
    text = json.dumps({"files": files}) if lacking in names(copy) else content
    (copy / "manifest.json").write_text(text)
    with pytest.raises(HydratronError, match=r"manifest\.json"):
        verify(copy)


@pytest.mark.fault(20)
def test_every_damaged_file_is_found(copy: Path) -> None:
    for name in names(copy):
        file, before = copy / name, (copy / name).read_bytes()
        for damaged in (before[:-1], bytes([before[0] ^ 1]) + before[1:], None):
            file.unlink() if damaged is None else file.write_bytes(damaged)
            with pytest.raises(HydratronError, match="missing or changed since"):
                verify(copy)
            file.write_bytes(before)
    (copy / "config.yaml").write_text("seed: 2\n")
    with pytest.raises(HydratronError, match="missing or changed since"):
        config_text(copy)


def test_ranks_share_the_reading(copy: Path) -> None:
    (copy / "config.yaml").unlink()
    found = 0
    for rank in range(3):
        try:
            verify(copy, rank, 3)
        except HydratronError:
            found += 1
    assert found == 1


def test_torch_still_has_the_names_that_trust_knows() -> None:
    for module, name in trust.ALLOWED:
        found = __import__(module, fromlist=[name])
        assert hasattr(found, name), f"torch has no {module}.{name}: see checkpoint/trust.py"
    fields = {"relative_path", "offset", "length", "transform_descriptors"}
    assert fields == set(_StorageInfo.__dataclass_fields__), "_StorageInfo changed: see trust.py"
    assert {"offsets", "sizes"} == set(ChunkStorageMetadata.__dataclass_fields__)
    assert issubclass(trust.TrustedReader, dcp.FileSystemReader)
