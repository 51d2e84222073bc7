"""Table 5: planted scores give their verdicts, and stages start from the jobs of others."""

from __future__ import annotations

import importlib.util
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hydratron.config.folders import conf_dir
from hydratron.config.load import dump
from hydratron.errors import HydratronError
from hydratron.job import JobFolder, write_json
from hydratron.reproduce.catalog import artifacts
from hydratron.reproduce.figure import Analysis
from hydratron.reproduce.results import analyse
from hydratron.reproduce.stages import PlannedStage, commands, plan_stages, unfinished
from hydratron.reproduce.starting import started

TABLE5 = {a.name: a for a in artifacts(conf_dir().parent / "experiments")}["table5_downstream"]
SMALL = TABLE5.profile("small")
BLOCKS = {"bert_pico": 393_216, "bert_nano": 1_769_472, "bert_micro": 4_718_592}
# Accuracy by (model, placement): pretrained, from random weights.
PLANTED = {
    ("bert_pico", "pre"): (0.72, 0.70),
    ("bert_nano", "pre"): (0.75, 0.71),
    ("bert_nano", "post"): (0.73, 0.71),
    ("bert_micro", "pre"): (0.78, 0.70),
}


STARTS = ("outputs/small/pretrained/x", None)


def row(model: str, place: str, seed: int, start: str | None, **more: Any) -> dict[str, Any]:
    """The end of one fine-tuning."""
    settings = {"task": "sst2", "init_from": start, "model.layernorm.placement": place}
    who = {"run": f"{model}-{place}-s{seed}", "model": model, "seed": seed, "status": "completed"}
    who |= settings | {"blocks": BLOCKS.get(model, 10_000_000), "data.path": "outputs/eval/SST-2"}
    return who | {"step": 300, "val/majority_accuracy": 0.51} | more


def planted(diverged: str = "", **changed: tuple[float, float]) -> pd.DataFrame:
    rows = []
    for (model, place), both in PLANTED.items():
        for accuracy, start in zip(changed.get(model, both), STARTS, strict=True):
            for seed in range(1, 6):
                found = accuracy + 0.001 * seed * (1 if start else 1.2)
                lost = (model, seed) == (diverged, 2) and start is not None
                scores = {"val/accuracy": found, "val/loss": 1 - found}
                scores = dict.fromkeys(scores, math.nan) if lost else scores
                status = "diverged" if lost else "completed"
                rows.append(row(model, place, seed, start, status=status, **scores))
    return pd.DataFrame(rows)


def judged(frame: pd.DataFrame) -> Analysis:
    return analyse(TABLE5, SMALL, frame)


def statuses(analysis: Analysis) -> dict[str, str]:
    return {verdict.claim.name: str(verdict.status) for verdict in analysis.verdicts}


def test_what_was_planted_is_found() -> None:
    analysis = judged(planted())
    names = ("majority", "pretraining", "loss", "sizes", "placement")
    assert statuses(analysis) == dict.fromkeys(names, "REPRODUCED")
    majority, pretraining, _, sizes, placement = analysis.verdicts
    assert majority.effect == pytest.approx(100 * (0.72 + 0.003 - 0.51))
    assert pretraining.effect == pytest.approx(2 - 0.06)
    assert (sizes.effect, placement.effect) == (pytest.approx(3), pytest.approx(2))
    assert sizes.n == 5
    first = analysis.table.iloc[1]
    assert (first["start"], first["seeds"]) == ("pretrained", 5)
    assert first["median"] == pytest.approx(72.3)
    assert len(analysis.table) == 8 + 15


def test_the_weakest_encoder_decides_and_a_diverged_run_counts() -> None:
    found = statuses(judged(planted(bert_micro=(0.74, 0.76))))
    assert {name for name, status in found.items() if status == "NOT REPRODUCED"} == {
        "pretraining", "loss", "sizes"
    }  # fmt: skip
    lost = judged(planted(diverged="bert_micro"))
    assert statuses(lost)["sizes"] == "NOT REPRODUCED"
    assert lost.notes[-1] == "diverged: bert_micro-pre-s2"


def test_an_imported_encoder_is_paired_by_fold() -> None:
    rows = []
    for fold in range(1, 6):
        for start, score in (("outputs/encoders/minilm", 0.5), (None, 0.4 - 0.01 * fold)):
            more = {"task": "squad2", "data.path": f"outputs/eval/folds/squad2/{fold}"}
            rows.append(row("minilm", "post", 1, start, **more | {"val/f1": score, "val/loss": 2}))
    analysis = judged(pd.concat([planted(), pd.DataFrame(rows)]))
    verdict = analysis.verdicts[-1]
    assert (verdict.claim.name, str(verdict.status), verdict.n) == ("squad2", "REPRODUCED", 5)
    assert verdict.effect == pytest.approx(13)


def finish(stage: PlannedStage) -> None:
    """Give every job of a stage its outcome, and a checkpoint as far as planning looks at it."""
    for job, path in stage.pairs:
        folder = JobFolder(path)
        checkpoint = folder.checkpoints / "step_00001500"
        checkpoint.mkdir(parents=True)
        for name in ("manifest.json", "tokenizer.json"):
            (checkpoint / name).write_text("{}")
        dump(job.config, folder.config)
        write_json(folder.provenance, {"overrides": [], "versions": {}})
        write_json(folder.result, {"status": "completed"})


def test_stages_start_from_jobs_that_have_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("outputs/eval/SST-2").mkdir(parents=True)
    # One seed of two encoders takes a tenth of the time.
    one = [replace(stage, overrides=(*stage.overrides, "seed=1")) for stage in SMALL.stages]
    one[0] = replace(one[0], sweeps=(("model=bert_pico", "layernorm=post,pre"),))
    small = replace(SMALL, stages=tuple(one))
    first, tuned, random = plan_stages(TABLE5, small)
    assert (len(first.jobs), tuned.jobs, tuned.waiting) == (2, [], tuple(first.jobs))
    assert unfinished([first, tuned])[2] == f"stage tuned waits for {first.jobs[0]}"
    assert "init_from={job}" in commands(TABLE5, small, tuned)[0]
    assert tuned.minutes == SMALL.stages[1].minutes
    finish(first)
    first, tuned, random = plan_stages(TABLE5, small)
    assert (tuned.waiting, len(tuned.jobs), len(random.jobs)) == ((), 2, 2)
    start = first.pairs[0][1].resolve()
    config = tuned.pairs[0][0].config
    assert (config.init_from, config.seed, config.task) == (str(start), 1, "sst2")
    assert config.model.name == random.pairs[0][0].config.model.name == "bert_pico"
    tokenizers = {Path(str(job.config.tokenizer.path)).parts[-4] for job, _ in random.pairs}
    assert tokenizers == {job.name for job in first.jobs}
    places = [job.config.model.layernorm.placement for job, _ in random.pairs]
    assert places == ["post", "pre"]
    with pytest.raises(HydratronError, match=r"\{tokeniser\}: one of job, tokenizer or an option"):
        list(started([("tokenizer.path={tokeniser}",)], first.pairs))


def test_folds_keep_a_text_on_one_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("split", TABLE5.folder / "split.py")
    assert spec is not None
    assert spec.loader is not None
    split = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(split)
    assert [split.fold_of(text) for text in ("a", "b", "c")] == [5, 1, 4]
    pairs = [f"neutral\tpremise {i // 2}\thypothesis {i}" for i in range(60)]
    (tmp_path / "pairs.tsv").write_text("\n".join(pairs) + "\n")
    split.mnli(tmp_path / "pairs.tsv")
    held = []
    for fold in range(1, 6):
        folder = Path("outputs/eval/folds/mnli") / str(fold)
        train, dev = (
            (folder / name).read_text().splitlines() for name in ("train.tsv", "dev_matched.tsv")
        )
        held += dev
        assert sorted(train + dev) == sorted(pairs)
        assert not {r.split("\t")[1] for r in train} & {r.split("\t")[1] for r in dev}
    assert sorted(held) == sorted(pairs)
    articles = [{"title": name, "paragraphs": []} for name in "abc"]
    (tmp_path / "dev.json").write_text(json.dumps({"version": "v2.0", "data": articles}))
    split.squad2(tmp_path / "dev.json")
    found = json.loads(Path("outputs/eval/folds/squad2/5/dev-v2.0.json").read_text())["data"]
    assert [article["title"] for article in found] == ["a"]
