"""The README's page on a LayerNorm variant of one's own, followed step by step in a copy."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

from hydratron.config.folders import conf_dir
from hydratron.job import read_json

CHECKOUT = conf_dir().parent
TABLE = "PLACEMENTS: dict[str, Placement] = {\n"


def steps() -> list[str]:
    """The four blocks of code of the page, in their order, without their indentation."""
    text = (CHECKOUT / "README.md").read_text()
    page = text.split("## Add your own LayerNorm variant\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^ *```\w+\n(.*?)^ *```$", page, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    return [textwrap.dedent(block) for block in blocks]


def test_the_page_leads_to_a_trained_variant(tmp_path: Path) -> None:
    function, row, file, command = steps()
    for part in ("src", "conf"):
        shutil.copytree(CHECKOUT / part, tmp_path / part)
    placements = tmp_path / "src" / "hydratron" / "models" / "placements.py"
    source = placements.read_text()
    assert source.count(TABLE) == 1
    changed = source.replace(TABLE, f"{function}\n\n{TABLE}")
    assert changed.endswith("}\n")
    placements.write_text(changed[:-2] + textwrap.indent(row, "    ") + "}\n")
    (tmp_path / "conf" / "layernorm" / "res_post.yaml").write_text(file)

    program, *arguments = shlex.split(command)
    assert program == "hydratron"
    done = subprocess.run(
        [sys.executable, "-m", "hydratron.cli", *arguments, "logger=none"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    results = {
        path.parent.name.split("-")[2]: read_json(path) or {}
        for path in tmp_path.glob("outputs/*/*/result.json")
    }
    assert {result["status"] for result in results.values()} == {"completed"}
    losses = {name: result["val/loss"] for name, result in results.items()}
    assert losses.keys() == {"pre", "post", "res_post"}
    assert len(set(losses.values())) == 3
    assert results["res_post"]["parameters"] == results["pre"]["parameters"]
