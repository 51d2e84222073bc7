from __future__ import annotations

from pathlib import Path

import pytest

from hydratron.errors import HydratronError
from hydratron.reproduce.pilot import best_rates

ROWS = """\
model,optim.lr,seed,val/loss
gpt_pico,0.001,7,4.5
gpt_pico,0.002,7,4.25
gpt_pico,0.004,7,nan
gpt_nano,0.001,7,4.0
gpt_nano,0.001,8,4.2
gpt_nano,0.002,7,4.1
gpt_nano,0.002,8,4.05
gpt_nano,0.003,7,3.5
gpt_micro,0.001,7,
"""


@pytest.fixture
def pilot(tmp_path: Path) -> Path:
    path = tmp_path / "pilot.csv"
    path.write_text(ROWS)
    return path


def test_the_best_rate_of_each_size(pilot: Path) -> None:
    # nano: the means are 4.1 and 4.075; the third rate has one seed of two.
    assert best_rates(pilot, ("gpt_nano", "gpt_pico")) == {"gpt_nano": 0.002, "gpt_pico": 0.002}


@pytest.mark.parametrize("model", ["gpt_micro", "gpt_mini"])
def test_a_size_without_a_finished_rate_is_refused(model: str, pilot: Path) -> None:
    with pytest.raises(HydratronError, match=f"no finished rate for {model}"):
        best_rates(pilot, ("gpt_pico", model))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no pilot"),
        ("model,lr\na,1\n", "the columns model, optim.lr, seed, val/loss are expected"),
        (ROWS.replace("4.5", "low"), "could not convert string to float"),
    ],
)
def test_an_unusable_file_is_one_line(text: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "pilot.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(HydratronError, match=message) as raised:
        best_rates(path, ("gpt_pico",))
    assert "\n" not in str(raised.value)
