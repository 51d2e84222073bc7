from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hydratron.errors import HydratronError
from hydratron.reporting import report
from hydratron.reporting.dashboard import embedded_json, page, title_of
from hydratron.reporting.records import read_runs
from tests.unit.reporting.synthetic import (
    DIVERGED,
    FAILURE,
    NANO,
    PICO,
    config,
    rows,
    write_job,
    write_sweep,
    write_twelve,
)

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>{{plotly}}"


def data_of(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    assert found
    content: dict[str, Any] = json.loads(found[1])
    return content


def visible(html: str) -> str:
    """The page without its scripts and styles."""
    return re.sub(r"<(script|style)\b.*?</\1>", "", html, flags=re.S)


def test_the_page_holds_everything_and_asks_for_nothing(tmp_path: Path) -> None:
    html = report([write_sweep(tmp_path / "sweep")]).dashboard.read_text()
    assert "default-src 'none'" in html
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", visible(html))
    data = data_of(html)
    assert len(data["runs"]) == 6
    assert [p["metric"] for p in data["panels"]][:2] == ["val/loss", "train/loss"]
    assert [p["main"] for p in data["panels"]] == [True] + [False] * 7
    assert len(data["curves"]) == 6 * 8
    assert max(len(curve["y"]) for curve in data["curves"]) <= 400


def test_table_findings_provenance_and_failure_are_on_the_page(tmp_path: Path) -> None:
    html = visible(report([write_sweep(tmp_path / "sweep")]).dashboard.read_text())
    assert "6 runs: 5 completed, 1 failed" in html
    assert "gpt_pico 4.7010 &gt; gpt_nano 4.4512 &gt; gpt_micro 4.3637: ordered" in html
    assert "005_gpt_micro-tp2-pre-s1: failed</strong> at step 130 of 400" in html
    assert "not enough memory" in html
    assert "0123456789abcdef0123456789abcdef01234567" in html
    assert "torch 2.13.0" in html
    assert "cpu 2 cores" in html
    assert html.count('<td class="number best"') == 1
    assert "optim.weight_decay" in html


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    cfg = replace(config(), model=replace(config().model, name=HOSTILE), seed=7)
    job = write_job(tmp_path / "s" / "0", cfg, rows(cfg)[:5], None, FAILURE | {"message": HOSTILE})
    write_job(tmp_path / "s" / "1", config(tp=2))
    (job / "provenance.json").write_text(json.dumps({"commit": HOSTILE, HOSTILE: [HOSTILE]}))
    html = page(read_runs(tmp_path / "s"), HOSTILE)
    # The data, plotly.js and the page's own script.
    assert len(re.findall(r"<script[ >]", html)) == 3
    assert "<img" not in visible(html)
    assert "{{plotly}}" in visible(html)
    assert any(HOSTILE in label for label in data_of(html)["legends"][0]["labels"])


def test_embedded_json_is_the_same_object_and_has_no_markup() -> None:
    content = {"a": "</script><!--&", "b": [1.5, None]}
    text = embedded_json(content)
    assert not set("<>&") & set(text)
    assert json.loads(text) == content
    with pytest.raises(ValueError, match="not JSON compliant"):
        embedded_json([float("nan")])


def test_runs_that_never_logged_and_runs_under_way(tmp_path: Path) -> None:
    write_job(tmp_path / "s" / "0", config(), [], None, FAILURE)
    html = visible(report([tmp_path / "s"]).dashboard.read_text())
    assert "No run has logged any metrics." in html
    assert "before the first logged step" in html
    assert "1 run: 1 failed" in html
    write_job(tmp_path / "s" / "1", config(tp=2), rows(config(tp=2), 40), status=None)
    (tmp_path / "s" / "1" / "provenance.json").unlink()
    html = report([tmp_path / "s"]).dashboard.read_text()
    assert '<li class="waiting"><strong>1: running</strong> at step 40 of 400' in html
    os.utime(tmp_path / "s" / "1" / "metrics.jsonl", (0, 0))
    html = report([tmp_path / "s"]).dashboard.read_text()
    assert '<li class="waiting"><strong>1: unfinished</strong> at step 40 of 400' in html
    assert '<li class="broken"><strong>0: failed</strong>' in html
    assert "<dt>no provenance.json</dt><dd>1 of 2 runs</dd>" in html


def test_only_metrics_that_were_logged_have_a_panel(tmp_path: Path) -> None:
    write_job(tmp_path / "job", config(), [{"step": 1, "train/loss": 5.0, "perf/mfu": 0.3}])
    html = report([tmp_path / "job"]).dashboard.read_text()
    assert [p["metric"] for p in data_of(html)["panels"]] == ["train/loss", "perf/mfu"]
    assert visible(html).count("<figure") == 2


def test_the_report_is_replaced_whole_and_refused_without_jobs(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path / "sweep")
    report([sweep])
    paths = report([sweep])
    left = sorted(p.name for p in sweep.iterdir() if p.is_file())
    assert left == ["curves.csv", "dashboard.html", "summary.csv"]
    assert paths.dashboard.read_text().startswith("<!doctype html>")
    (tmp_path / "empty").mkdir()
    with pytest.raises(HydratronError, match="no job folder"):
        report([tmp_path / "empty"])
    assert list((tmp_path / "empty").iterdir()) == []


def test_provenance_says_each_value_once_and_many_as_a_range(tmp_path: Path) -> None:
    for index in range(5):
        job = write_job(tmp_path / "s" / str(index), config(seed=index % 2))
        own = {"commit": "abc", "parent": None, "started": f"2026-01-0{index + 1}"}
        own["host"] = f"h{index % 2}"
        (job / "provenance.json").write_text(json.dumps(own))
    html = visible(report([tmp_path / "s"]).dashboard.read_text())
    assert "<dt>commit</dt><dd>abc</dd>" in html
    assert "<dt>host</dt><dd>h0; h1</dd>" in html
    assert "<dt>started</dt><dd>2026-01-01 … 2026-01-05 (5 values)</dd>" in html
    assert "<dt>seed</dt><dd>0, 1</dd>" in html
    assert "<dt>parent</dt>" not in html


def test_the_title_counts_the_folders_and_says_what_a_single_job_trained(tmp_path: Path) -> None:
    assert title_of([Path("outputs/scaling")], []) == "scaling"
    assert title_of([Path("a"), Path("b"), Path("c")], []) == "a and 2 more"
    job = write_job(tmp_path / "2026-01-01_12-00-00", config(tp=2, seed=7))
    paths = report([job])
    html = visible(paths.dashboard.read_text())
    assert "<h1>gpt_pico, tp2, pre-LN, lr 0.001, 400 steps, seed 7</h1>" in html
    assert "1 run: 1 completed; 2026-01-01_12-00-00" in html


def test_twelve_jobs_one_failed_and_one_diverged_read_as_they_are(tmp_path: Path) -> None:
    html = report([write_twelve(tmp_path / "s")]).dashboard.read_text()
    shown, data = visible(html), data_of(html)
    assert "12 runs: 10 completed, 1 diverged, 1 failed" in shown
    assert "004_gpt_pico-single-pre-lr0.003-s2: diverged</strong> at step" in shown
    assert f"<br>{DIVERGED}" in shown
    assert shown.count('<td class="bad">') == 2
    assert "not reached" in shown
    broken = {run["name"][:3]: run["status"] for run in data["runs"] if run["broken"]}
    assert broken == {"004": "diverged", "010": "failed"}
    assert [group["runs"] for group in data["groups"]] == [
        [0, 1, 2],
        [3, 5],
        [6, 7, 8],
        [9, 11],
    ]
    assert re.findall('<option value="(\\w+)">', shown)[:7] == [
        *("model", "lr", "seed", "none", "model", "lr", "seed"),
    ]
    assert (data["colour"], data["dash"]) == ("model", "lr")
    assert '<fieldset id="seeds">' in shown
    assert 'value="mean" checked' in shown
    # As many quantiles as the table of means needs when the page changes the target.
    assert data["student"] == [None, None, pytest.approx(12.7062, 1e-5), pytest.approx(4.30265)]


def test_what_all_runs_share_is_a_fact_and_no_column(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_job(tmp_path / "s" / str(seed), config(seed=seed))
    html = visible(report([tmp_path / "s"]).dashboard.read_text())
    assert "2 runs: 2 completed; 545k params, 205k tokens each" in html
    titles = re.findall(r'<th scope="col"[^>]*><button type="button">([^<]*)', html)
    assert "seconds" in titles
    assert not {"params", "tokens"} & set(titles)
    mixed = visible(report([write_sweep(tmp_path / "sweep")]).dashboard.read_text())
    assert {"params", "tokens"} <= set(re.findall(r'<button type="button">([^<]*)', mixed))
    assert "each</p>" not in mixed


def test_what_was_asked_for_of_all_runs_is_said_once(tmp_path: Path) -> None:
    for seed in (1, 2):
        job = write_job(tmp_path / "s" / str(seed), config(seed=seed))
        asked = {"overrides": ["model=gpt_pico", f"seed={seed}", "logger=none"]}
        (job / "provenance.json").write_text(json.dumps(asked))
    html = visible(report([tmp_path / "s"]).dashboard.read_text())
    assert "<dt>overrides of all runs</dt><dd>model=gpt_pico logger=none</dd>" in html
    assert "<dt>overrides</dt>" not in html


def test_one_seed_has_no_switch_and_one_variant_no_choice(tmp_path: Path) -> None:
    write_job(tmp_path / "s" / "0", config())
    html = visible(report([tmp_path / "s"]).dashboard.read_text())
    assert 'id="seeds"' not in html
    assert 'id="colour"' not in html
    assert 'id="means"' not in html


def test_many_findings_are_folded(tmp_path: Path) -> None:
    for samples in range(1, 14):
        for model in (PICO, NANO):
            cfg = config(model)
            cfg = replace(cfg, trainer=replace(cfg.trainer, val_samples=samples))
            write_job(tmp_path / "s" / f"{model.name}{samples}", cfg, rows(cfg, 20))
    # 13 orders of sizes, the shared rate, and the samples compared for each model.
    html = visible(report([tmp_path / "s"]).dashboard.read_text())
    shown, folded = html.split("<summary>4 more findings</summary>")
    assert shown.count('<li><span class="mark') == 12
    assert shown.endswith("<details>")
    assert folded.split("</details>")[0].count('<li><span class="mark') == 4


def test_only_a_live_page_says_so_and_loads_itself_anew(tmp_path: Path) -> None:
    runs = read_runs(write_sweep(tmp_path / "s"))
    live = page(runs, "s", 5.0)
    assert data_of(live)["reload"] == 5.0
    assert '<span class="live">live, written at ' in live
    assert data_of(page(runs, "s"))["reload"] is None
    assert "written at" not in page(runs, "s")
