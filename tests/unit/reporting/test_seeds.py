from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from hydratron.config.schema import OptimConfig
from hydratron.job import flatten
from hydratron.reporting.estimate import estimate
from hydratron.reporting.formats import loss
from hydratron.reporting.means import means
from hydratron.reporting.records import Run, read_runs
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
        ("lr 0.001", [1, 2, 3]),
        ("lr 0.002", [1, 2]),
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
    table = means(runs, seed_groups(runs))
    titles = [column.title for column in table.columns]
    assert titles[:3] == ["model", "lr", "n"]
    texts = {
        (row[0].text, row[1].text): {t: c.text for t, c in zip(titles, row, strict=True)}
        for row in table.rows
    }
    assert [row["n"] for row in texts.values()] == ["2 of 3", "3", "3", "2 of 3"]
    pico = texts["gpt_pico", "0.001"]
    assert pico["val\nloss"] == "4.7023 ± 0.0122"
    assert pico["tokens to\nloss 4.6981"].endswith("(1 of 3)")
    broken = texts["gpt_pico", "0.003"]
    assert broken["tokens to\nloss 4.6981"] == "not reached"
    assert broken["status"] == "2 completed, 1 diverged"
    assert texts["gpt_nano", "0.003"]["status"] == "2 completed, 1 failed"


def test_one_group_is_named_by_its_model() -> None:
    (group,) = seed_groups([run(1, 4.0), run(2, 5.0)])
    assert group.label == "gpt_pico"
    table = means(group.runs, [group])
    assert [column.title for column in table.columns[:2]] == ["model", "n"]
    assert seed_groups([run(1, 4.0)]) == []
