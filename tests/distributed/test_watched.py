"""experiments/splits: what its watch sees of a step is all that the step sends."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest

from hydratron.config.folders import conf_dir
from hydratron.config.schema import Config
from hydratron.data.corpus import open_corpus
from hydratron.parallel.mesh import build_mesh
from hydratron.planner.dry_run import dry_run
from tests.helpers.prepared import synthetic_prepared
from tests.helpers.ranks import run_ranks
from tests.helpers.training import small_training

SPLITS = conf_dir().parent / "experiments" / "splits"


def given(rank: int, world_size: int, config: Config, data: Path) -> int:
    """Bytes that this rank gives in a step, as the watch counts them."""
    sys.path.insert(0, str(SPLITS))
    contend, spans, ways = map(import_module, ("contend", "spans", "ways"))
    corpus, watch = open_corpus(data), spans.Watch()
    mesh = spans.watched(build_mesh(config.parallel.axes, "cpu"), watch)
    one = ways.Rank(config, corpus.vocab_size, mesh, spans.watched_stage(watch))
    batches = contend.batches(config, corpus, mesh)
    one.step(batches[0])
    watch.start()
    one.step(batches[1])
    return sum(int(span.nbytes) for span in watch.stop())


@pytest.mark.parametrize(
    ("name", "degree"),
    [("plain_2", "dp2"), ("zero_2", "dp2"), ("plain_1", "tp2_dp2"), ("gpipe_2", "dp2_pp2")],
)
def test_the_bytes_seen_are_those_planned(
    name: str, degree: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = synthetic_prepared(tmp_path / "data", 60)
    monkeypatch.syspath_prepend(str(SPLITS))
    for module in ("ways", "spans"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    ways = import_module("ways")
    plain = small_training(data, 1, 1, model__seq_length=32, model__attention="manual")
    config = ways.configured(plain, name, degree)
    step = dry_run(
        config,
        open_corpus(data).vocab_size,
        num_layers=config.model.num_layers,
        micro_batches=config.accumulation,
    )
    sent = [one for one in step.collectives if not one.operation.startswith("recv")]
    seen = run_ranks(given, config.parallel.world_size, config, data)
    assert seen[0] == sum(one.bytes for one in sent)
