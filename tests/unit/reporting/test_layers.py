from __future__ import annotations

import math
from pathlib import Path

from hydratron.reporting.layers import STEPS, layer_maps, layer_section
from hydratron.reporting.records import Run, read_runs
from tests.unit.reporting.synthetic import config, rows, write_job


def layered(folder: Path, steps: int = 3, layers: int = 2) -> Run:
    """A run whose layer l has the gradient norm 10^(l - step) at each step that logs them."""
    logged = rows(config())[:4]
    for step in range(1, steps + 1):
        row = {f"layers/{i:02d}/grad_norm": 10.0 ** (i - step % 7) for i in range(layers)}
        logged.append({"step": 1000 + step, "tokens": step, "seconds": 1.0, **row})
    (run,) = read_runs(write_job(folder, config(), logged).parent)
    return run


def test_a_map_has_a_row_for_each_layer(tmp_path: Path) -> None:
    (found,) = layer_maps([layered(tmp_path / "s" / "0")])
    assert found == {
        "run": 0,
        "metric": "grad_norm",
        "layers": [0, 1],
        "step": [1001, 1002, 1003],
        "values": [[0.1, 0.01, 0.001], [1, 0.1, 0.01]],
    }


def test_layers_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    (found,) = layer_maps([layered(tmp_path / "s" / "0", steps=1, layers=112)])
    assert found["layers"] == list(range(112))
    assert [row[0] for row in found["values"][:3]] == [0.1, 1, 10]


def test_a_long_run_keeps_its_ends(tmp_path: Path) -> None:
    (found,) = layer_maps([layered(tmp_path / "s" / "0", steps=1000)])
    assert len(found["step"]) == len(found["values"][1]) == STEPS
    assert (found["step"][0], found["step"][-1]) == (1001, 2000)


def test_what_is_not_finite_is_empty_and_runs_without_have_none(tmp_path: Path) -> None:
    logged = [{"step": 1, "layers/00/update_ratio": math.nan, "layers/01/update_ratio": 0.5}]
    write_job(tmp_path / "s" / "0", config(), rows(config()))
    write_job(tmp_path / "s" / "1", config(), logged)
    (found,) = layer_maps(read_runs(tmp_path / "s"))
    assert (found["run"], found["values"]) == (1, [[None], [0.5]])


def test_the_section_offers_the_runs_that_have_maps(tmp_path: Path) -> None:
    write_job(tmp_path / "s" / "0", config(), rows(config()))
    layered(tmp_path / "t" / "1<b>")
    runs = [*read_runs(tmp_path / "s"), *read_runs(tmp_path / "t")]
    html = layer_section(runs, layer_maps(runs))
    assert '<option value="1">1&lt;b&gt;</option>' in html
    assert html.count('<option value="') == 1 + 3
    assert layer_section(runs, []) == ""
