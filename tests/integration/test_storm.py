"""Jobs in a storm: whatever dies, whenever, the same command ends on the clean run's losses."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.prepared import synthetic_prepared
from tests.helpers.storm import (
    FAULTS,
    INTERVAL,
    Storm,
    clean_losses,
    kill_any,
    kill_launcher,
    losses,
    saved_step,
    storm_config,
)

pytestmark = pytest.mark.fault
Measure = Callable[[str, object], None]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic_prepared(tmp_path_factory.mktemp("data") / "small", 60)


@pytest.mark.fault(1, 2, 13)
@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=pytest.mark.whole)])
def test_a_kill_of_any_process_loses_one_interval_at_most(
    kills: int, data: Path, tmp_path: Path, record_property: Measure
) -> None:
    draw, lost = random.Random(kills), []
    shapes = ["tp2 with workers", "single with workers", "tp2", "single"]
    for number in range(kills):
        # A new job for every five kills of a shape; of five kills one is the launcher's.
        shape = shapes[number % len(shapes)]
        place = tmp_path / f"{shape}-{number // 20}".replace(" ", "_")
        storm = Storm(place, storm_config(data, shape, 100_000), draw)
        before = saved_step(storm.job)
        if number % 5 == 1:
            assert not storm.attempt(kill_launcher)
        else:
            assert not storm.attempt_here(kill_any)
        assert saved_step(storm.job) >= before
        lost += storm.lost
    assert len(lost) == kills
    assert max(lost) <= INTERVAL
    record_property("measure", f"{kills} kills of jobs, 0 torn, {max(lost)} steps lost at most")


@pytest.mark.fault(67)
@pytest.mark.whole
def test_a_soak_ends_bitwise_on_the_clean_run(
    pytestconfig: pytest.Config, data: Path, tmp_path: Path, record_property: Measure
) -> None:
    seconds, steps = float(pytestconfig.getoption("--soak")), 6 * INTERVAL
    draw, counted, most, jobs = random.Random(67), Counter[str](), 0, 0
    clean: dict[str, list[tuple[int, float]]] = {}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        shape = ("single", "tp2", "dp2")[jobs % 3]
        if shape not in clean:
            began = time.monotonic()
            clean[shape] = clean_losses(data, shape, steps, tmp_path / f"clean_{shape}")
            end += time.monotonic() - began
        storm = Storm(tmp_path / f"job_{jobs}", storm_config(data, shape, steps), draw)
        while not storm.attempt(draw.choice(FAULTS) if time.monotonic() < end else None, 6.0):
            assert storm.faults, (storm.folder / "said").read_text()
        assert losses(storm.job) == clean[shape]
        for fault, lost in zip(storm.faults, storm.lost, strict=True):
            assert lost <= INTERVAL * (1 + ("damaged" in fault)), (fault, lost)
            most = max(most, lost)
        counted.update(storm.faults)
        jobs += 1
    found = ", ".join(f"{count} {fault}" for fault, count in sorted(counted.items()))
    record_property(
        "measure",
        f"{jobs} jobs in {seconds:.0f} s: {counted.total()} faults ({found}); all bitwise, "
        f"{most} steps lost at most, saved every {INTERVAL}",
    )
