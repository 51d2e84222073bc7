from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from hydratron.config.schema import OptimConfig
from hydratron.job import flatten
from hydratron.reporting.estimate import estimate
from hydratron.reporting.formats import loss
from hydratron.reporting.records import Run, read_runs
from hydratron.reporting.seed_table import seed_table
from hydratron.reporting.seeds import interval, seed_groups
from tests.unit.reporting.synthetic import PICO, config, write_twelve


def run(seed: int, value: float, lr: float = 1e-3, status: str = "completed") -> Run:
    cfg = replace(config(PICO, seed=seed), optim=OptimConfig(lr=lr))
    result = {"status": status, "val/loss": value}
    return Run(Path(f"{lr}-{seed}"), flatten(asdict(cfg)), result=result)


def test_the_text_of_an_interval() -> None:
    assert interval(estimate([4.0, 5.0, 6.0]), loss) == "5.0000 ± 2.4841"
    assert interval(estimate([4.0]), loss) == "4.0000"
    assert interval(estimate([]), loss) == "–"


def test_only_runs_that_differ_in_the_seed_alone_are_a_group() -> None:
    runs = [run(1, 4.0), run(2, 5.0), run(1, 4.5, 2e-3), run(3, 6.0), run(2, 9.0, 2e-3)]
    found = seed_groups(runs)
    assert [(g.label, [r.seed for r in g.runs]) for g in found] == [
        ("gpt_pico, lr 0.001", [1, 2, 3]),
        ("gpt_pico, lr 0.002", [1, 2]),
    ]
    assert seed_groups([run(1, 4.0), run(1, 4.0)]) == []
    assert seed_groups([run(1, 4.0), run(2, 4.0, 2e-3)]) == []


def test_broken_runs_count_in_no_mean() -> None:
    (group,) = seed_groups([run(1, 4.0), run(2, 90.0, status="diverged"), run(3, 5.0)])
    found = group.estimate("val/loss")
    assert (found.value, found.n) == (4.5, 2)
    assert [r.seed for r in group.usable] == [1, 3]


def test_the_table_says_how_many_seeds_its_means_stand_for(tmp_path: Path) -> None:
    runs = read_runs(write_twelve(tmp_path / "s"))
    html = seed_table(runs, seed_groups(runs))
    assert html.count("<tr>") == 5
    assert html.count("2 of 3") == 2
    assert "2 completed, 1 diverged" in html
    assert "2 completed, 1 failed" in html
    assert "4.7023 ± 0.0122" in html
    assert "tokens to\nloss 4.6981" in html
    assert "not reached" in html
    assert "(1 of 3)" in html
    assert seed_table(runs, []) == ""
