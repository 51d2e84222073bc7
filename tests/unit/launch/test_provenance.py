"""provenance.json: enough to know where a number comes from, nothing that names a person."""

from __future__ import annotations

import getpass
import hashlib
import json
import platform
import subprocess
import sys
from pathlib import Path

from hydratron.config.schema import Config, DataConfig
from hydratron.launch.provenance import provenance


def test_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    config = Config(data=DataConfig(prepared=str(tmp_path)), seed=7)
    content = provenance(config, tmp_path / "job", ["seed=7"], None)
    assert content["seed"] == 7
    assert content["overrides"] == ["seed=7"]
    assert content["parent"] is None
    assert content["data_sha256"] == hashlib.sha256(b"{}").hexdigest()
    assert content["versions"]["torch"].startswith("2.")
    assert content["hardware"]["cores"] >= 1
    assert content["hardware"]["memory_bytes"] > 2**28
    assert content["started"].endswith("+00:00")
    assert content["commit"] is None or len(content["commit"]) == 40


def test_the_parent_is_named_relative_to_the_job(tmp_path: Path) -> None:
    job = tmp_path / "sweep" / "job"
    start = tmp_path / "other" / "checkpoints" / "step_00000020"
    content = provenance(Config(), job, [], start)
    assert content["parent"] == "../../other/checkpoints/step_00000020"
    own = job / "checkpoints" / "step_00000020"
    assert provenance(Config(), job, [], own)["parent"] is None


def test_it_names_no_person_and_no_host(tmp_path: Path) -> None:
    content = provenance(Config(), tmp_path, [], None)
    del content["overrides"], content["platform"]
    words = json.dumps(content).split('"')
    assert platform.node() not in words
    assert getpass.getuser() not in words


def test_the_launcher_imports_no_torch(tmp_path: Path) -> None:
    program = """if True:
        import sys
        from pathlib import Path
        from hydratron.config.schema import Config
        from hydratron.launch.provenance import provenance
        import hydratron.launch.run
        provenance(Config(), Path("job"), [], None)
        sys.exit("torch" in sys.modules)
    """
    subprocess.run([sys.executable, "-c", program], check=True)
