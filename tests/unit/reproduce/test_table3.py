"""Table 3: planted scores give their verdicts, and the stages that evaluate find what is left."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from hydratron.config.folders import conf_dir
from hydratron.errors import HydratronError
from hydratron.hashing import file_sha256
from hydratron.job import JobFolder, write_json
from hydratron.reporting.records import read_run
from hydratron.reproduce.catalog import artifacts, read_artifact
from hydratron.reproduce.collect import curves
from hydratron.reproduce.figure import Analysis
from hydratron.reproduce.overlap import Overlap, grams, share
from hydratron.reproduce.results import analyse
from hydratron.reproduce.scores import scored, with_scores
from hydratron.reproduce.stages import plan_stages

TABLE3 = {a.name: a for a in artifacts(conf_dir().parent / "experiments")}["table3_zero_shot"]
BLOCKS = {"gpt_pico": 400_000, "gpt_nano": 1_800_000, "gpt_micro": 4_700_000}
# Perplexity, accuracy, target's perplexity.
Cells = dict[str, tuple[float, float, float]]
PLANTED: Cells = {
    "gpt_pico": (3000.0, 0.002, 5000.0),
    "gpt_nano": (2000.0, 0.004, 4000.0),
    "gpt_micro": (1500.0, 0.006, 3000.0),
}


def planted(cells: Cells, diverged: str = "") -> Analysis:
    rows: list[dict[str, Any]] = []
    for model, (perplexity, accuracy, target) in cells.items():
        for seed in (1, 2, 3):
            run = {"run": f"{model}-{seed}", "model": model, "seed": seed, "optim.lr": 1e-3}
            status = "diverged" if (model, seed) == (diverged, 2) else "completed"
            run |= {"status": status, "blocks": BLOCKS[model], "tokens": 2_048_000}
            known = status == "completed"
            rows.append(
                run
                | {
                    "eval/wikitext103/perplexity": perplexity * 1.01**seed if known else math.nan,
                    "eval/lambada/accuracy": accuracy if known else math.nan,
                    "eval/lambada/target_perplexity": target if known else math.nan,
                    "overlap/wikitext103": 0.001 if known else math.nan,
                }
            )
    return analyse(TABLE3, TABLE3.profile("small"), pd.DataFrame(rows))


def statuses(analysis: Analysis) -> list[str]:
    return [str(verdict.status) for verdict in analysis.verdicts]


def test_what_was_planted_is_found() -> None:
    analysis = planted(PLANTED)
    assert statuses(analysis) == ["REPRODUCED"] * 3
    wikitext, accuracy, target = analysis.verdicts
    assert wikitext.effect == pytest.approx(math.log(2000 / 1500))
    assert accuracy.effect == pytest.approx(0.2)
    assert target.effect == pytest.approx(math.log(5000 / 4000))
    assert accuracy.ours == "gpt_pico, gpt_nano, gpt_micro: 0.20 %, 0.40 %, 0.60 %"
    assert analysis.table["model"].tolist()[3:] == ["paper, 355M", "paper, 2.5B", "paper, 8.3B"]
    assert "8-grams of WikiText103 that the training text has: 0.1 %" in analysis.notes[1]
    assert statuses(planted(PLANTED | {"gpt_nano": (1400.0, 0.004, 2900.0)})) == [
        "NOT REPRODUCED", "REPRODUCED", "NOT REPRODUCED"
    ]  # fmt: skip


def test_a_diverged_run_counts_against_every_claim() -> None:
    assert statuses(planted(PLANTED, diverged="gpt_micro")) == ["NOT REPRODUCED"] * 3


def test_the_small_models_are_those_of_figure_6() -> None:
    sizes, scores = plan_stages(TABLE3, TABLE3.profile("small"))
    jobs, own = sizes.jobs, Path("outputs/reproduce/fig6_gpt_scaling/small/sizes")
    assert len(jobs) == 9
    assert {job.parent for job in jobs} == {own}
    assert [one.jobs for one in scores.scored] == [tuple(jobs)] * 2
    assert (scores.count, scores.jobs) == (18, [])


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"jobs_of": "fig6_gpt_scaling"}, "small.name=a: stages of fig6_gpt_scaling: sizes"),
        ({"overrides": [], "verb": "evaluate"}, "small.of: the stage whose jobs are scored"),
        ({"overrides": [], "verb": "plan", "of": "b"}, "small.of=b: the stage whose jobs are"),
        ({"overrides": [], "of": "b"}, "small.of=b: a stage before it"),
        ({"overrides": [], "verb": "evaluate", "of": "b"}, "small.of=b: a stage before it"),
    ],
)
def test_stages_that_cannot_be(tmp_path: Path, stage: dict[str, Any], message: str) -> None:
    (tmp_path / "fig6_gpt_scaling").symlink_to(conf_dir().parent / "experiments/fig6_gpt_scaling")
    (tmp_path / "thing").mkdir()
    profile = {"about": "", "stages": [{"name": "a"} | stage]}
    content = {"title": "", "metrics": [], "profiles": {"small": profile}}
    (tmp_path / "thing" / "profiles.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(HydratronError, match=message):
        read_artifact(tmp_path / "thing")


def job(path: Path, sha256: str = "", step: int = 4, status: str = "completed") -> Path:
    """A job with a checkpoint of step 4, and with an evaluation where `sha256` is given."""
    folder = JobFolder(path)
    newest = folder.checkpoints / "step_00000004"
    newest.mkdir(parents=True)
    for name in ("manifest.json", "state.json"):
        (newest / name).write_text("{}")
    folder.config.write_text("{model: {name: gpt_pico}}")
    folder.metrics.write_text('{"step": 4, "tokens": 9}\n')
    write_json(folder.result, {"status": status})
    if sha256:
        name = f"step_{step:08d}"
        record = {
            "task": "lambada", "sha256": sha256, "protocol": {}, "metrics": {"accuracy": 0.5},
            "checkpoint": {"name": name, "step": step},
        }  # fmt: skip
        write_json(folder.checkpoints / "evaluations" / name / "evaluation.json", record)
    return path


def test_what_is_left_to_score_and_what_came_out(tmp_path: Path) -> None:
    file = tmp_path / "f.jsonl"
    file.write_text('{"text": "one two"}\n')
    sha256 = file_sha256(file)
    done, old = job(tmp_path / "done", sha256), job(tmp_path / "old", sha256, step=2)
    other, broken = job(tmp_path / "other", "ab"), job(tmp_path / "broken", status="diverged")
    one = scored(["--task=lambada", f"--data={file}"], [done, old, other, broken])
    assert one.trained == [done, old, other]
    assert one.left == [old, other]
    runs = with_scores(map(read_run, (done, other)), [one])
    frame = curves(runs, ["eval/lambada/accuracy"], [])
    assert frame["eval/lambada/accuracy"].tolist()[0] == 0.5
    assert frame["tokens"].tolist()[0] == 9
    assert len(frame) == 2
    with pytest.raises(HydratronError, match="needs --task=T and --data=FILE"):
        scored(["--task=lambada"], [done])


def test_grams_that_both_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [f"w{i}" for i in range(12)]
    seen = np.unique(grams([" ".join(words), "a b c"]))
    assert len(seen) == 5
    # Case and marks do not matter, the order of words does; none reaches over a text's end.
    assert share(grams(["W3, w4: " + " -- ".join(words[5:11])]), seen) == 1
    assert share(grams([" ".join(words[:8]), " ".join(words[7::-1])]), seen) == 0.5
    assert share(grams([" ".join(words[:5]), " ".join(words[5:])]), seen) == 0
    assert share(grams(["a b"]), seen) == 0
    file = tmp_path / "f.jsonl"
    rows = [{"text": " ".join(words[:9])}, {"text": "x y"}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    texts = "hydratron.reproduce.overlap._training"
    monkeypatch.setattr(texts, lambda tokens: [" ".join(words[1:])])
    assert Overlap().share(tmp_path, "lambada", file) == 0.5
