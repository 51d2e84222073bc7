"""Over 60 kinds of hostile files at every door that reads files: 0 side effects, one line each."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from hydratron.cli import main
from hydratron.data.indexed import IndexedDataset
from hydratron.errors import DataError
from hydratron.interop import huggingface, own
from hydratron.launch import settling
from tests.helpers import foreign, hostile, hostile_formats
from tests.helpers.launchers import worker_here

pytestmark = pytest.mark.fault
PAGE = {"dashboard.html", "summary.csv", "curves.csv"}
SECONDS = 30


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("job") / "job"
    own.write(path, foreign.model("gpt2"))
    return path


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "job"
    path.mkdir()
    huggingface.write(path, foreign.model("gpt2"))
    return path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the hostile folder `job` comes; what waits for ever is ended."""

    def late(number: int, frame: object) -> None:
        raise AssertionError(f"not answered in {SECONDS} s")

    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("the people of these states hold that liberty " * 50)
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    yield tmp_path
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def carried(place: Path, source: Path, make: hostile.Make, *argv: str) -> tuple[int, set[str]]:
    """The command's exit code, and the files that it wrote; the canary is silent."""
    copy, canary = shutil.copytree(source, place / "job"), place / "canary"
    make(copy, f"touch {canary}")
    before = {*place.rglob("*")}
    try:
        code = main([*argv])
    except SystemExit as stop:
        code = int(str(stop.code))
    assert not canary.exists()
    return code, {path.name for path in {*place.rglob("*")} - before}


def refused(code: int, new: set[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Every problem is one line, and nothing was written."""
    said = capsys.readouterr()
    assert (code, new, said.out) == (2, set(), "")
    assert said.err
    for line in said.err.splitlines():
        assert line.startswith("hydratron: ")
        assert len(line) < 600


# What a configuration may say without harm: no code runs, and whoever would train is told.
HARMLESS = {"a number of 60 digits", "infinity", "a key twice"}
UNKNOWN = {"_target_", "_target_ in a section", "an interpolation as a number"}


@pytest.mark.fault(42, 43, 48)
@pytest.mark.parametrize("kind", hostile.CONFIGS)
def test_a_configuration(
    kind: str, job: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make = hostile.CONFIGS[kind]
    out = str(place / "out")
    if kind not in HARMLESS:  # Otherwise it is converted.
        refused(*carried(place, job, make, "convert", "job", out, "--to", "huggingface"), capsys)
        shutil.rmtree(place / "job")
    # The page shows what is known of a job, and need not know each option.
    code, new = carried(place, job, make, "report", "job")
    if kind in HARMLESS | UNKNOWN:
        assert (code, new) == (0, PAGE)
    else:
        refused(code, new, capsys)


TAGS = ("python/object/apply", "python/object/new", "an alias bomb", "an interpolation as a number")


@pytest.mark.fault(42, 48)
@pytest.mark.parametrize(
    "kind", ["_target_", *(pytest.param(k, marks=pytest.mark.whole) for k in TAGS)]
)
def test_a_configuration_that_is_trained_on(
    kind: str,
    job: Path,
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make = hostile.CONFIGS[kind]
    for option in ("resume=job", "init_from=job"):
        refused(*carried(place, job, make, "train", option, "hydra.run.dir=out"), capsys)
        shutil.rmtree(place / "job")
    make(shutil.copytree(job, place / "job"), f"touch {place / 'canary'}")
    assert worker_here("job", monkeypatch) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert not (place / "canary").exists()


@pytest.mark.fault(20, 43, 49)
@pytest.mark.parametrize("kind", hostile.CHECKPOINTS)
def test_a_checkpoint(
    kind: str, job: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make = hostile.CHECKPOINTS[kind]
    out = str(place / "out")
    refused(*carried(place, job, make, "convert", "job", out, "--to", "huggingface"), capsys)
    shutil.rmtree(place / "job")
    scored = ("evaluate", "job", "--task", "perplexity", "--data", "text.txt")
    refused(*carried(place, job, make, *scored), capsys)


@pytest.mark.fault(43)
@pytest.mark.parametrize("kind", hostile_formats.FOREIGN)
def test_a_folder_of_another_format(
    kind: str, exported: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("convert", "job", str(place / "out"), "--to", "hydratron")
    refused(*carried(place, exported, hostile_formats.FOREIGN[kind], *words), capsys)


@pytest.mark.fault(44, 52, 58)
@pytest.mark.parametrize("kind", hostile.PAGES)
def test_what_a_page_shows(
    kind: str, job: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, new = carried(place, job, hostile.PAGES[kind], "report", "job")
    if code:
        refused(code, new, capsys)
        return
    assert new == PAGE
    page = (place / "job" / "dashboard.html").read_text()
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "javascript:alert" not in page


@pytest.mark.fault(31)
@pytest.mark.parametrize("kind", hostile_formats.TOKENS)
def test_tokens(kind: str, place: Path) -> None:
    """By the function of every door."""
    hostile_formats.TOKENS[kind](place, "")
    with pytest.raises(DataError) as caught:
        IndexedDataset(place / "mine")
    assert "\n" not in str(caught.value)


@pytest.mark.fault(42)
def test_overrides_of_a_job_are_plain(job: Path, place: Path) -> None:
    copy = shutil.copytree(job, place / "sweep" / "a")
    assert settling._held(place / "sweep", "train") == {}  # Without its overrides.
    (copy / "overrides.yaml").write_text("- seed=1\n")
    assert [*settling._held(place / "sweep", "train")] == ["a"]
    text = f"!!python/object/apply:os.system ['touch {place / 'canary'}']\n"
    (copy / "overrides.yaml").write_text(text)
    assert settling._held(place / "sweep", "train") == {}
    assert not (place / "canary").exists()
