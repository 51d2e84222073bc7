"""`python contend.py NAME CONFIG OUT RANK RANKS [DEGREE]`: one rank trains until it is ended.

CONFIG is the config.yaml of the job for the same work; OUT is a folder for metrics.jsonl, for
counted.json and for the file by which ranks meet; DEGREE is the end of its name otherwise.
`python contend.py versions` says which names there are.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).parent))
import lines
import spans
from ways import NAMES, Rank, configured

from hydratron.config.load import load
from hydratron.config.schema import Config
from hydratron.data.corpus import open_corpus
from hydratron.data.samples.assemble import training_samples
from hydratron.parallel.mesh import Mesh, build_mesh
from hydratron.planner.dry_run import dry_run
from hydratron.training.throughput import memory_bytes

BATCHES = 8  # Read beforehand, and over again.
WARM, WATCHED = 2, 7  # Steps before those that are watched, and those.
LEAST = 0.002  # Share of a step; shorter parts are counted but not drawn.
FLOAT = 4  # bytes
DRAWN_RANKS, DRAWN_MICRO_BATCHES = 2, 4

Counts = list[dict[str, Any]]


def main() -> None:
    if sys.argv[1] == "versions":
        print(json.dumps(dict.fromkeys(NAMES, torch.__version__)))
        return
    name, file, out, rank, ranks = sys.argv[1:6]
    degree = Path(out).name.partition("-")[2]
    config = configured(load(Path(file)), name, degree)
    torch.set_num_threads(config.launch.threads_per_rank or 1)
    assert config.data.prepared is not None
    corpus = open_corpus(config.data.prepared)
    # Before there is a process group: the plan opens one of its own.
    counts = expected(config, corpus.vocab_size) if rank == "0" else []
    if int(ranks) > 1:
        store = dist.FileStore(f"{out}/meeting", int(ranks))
        dist.init_process_group(
            "gloo", store=store, rank=int(rank), world_size=int(ranks), timeout=timedelta(hours=2)
        )
    train(config, corpus, Path(out), counts)


def expected(config: Config, vocab: int) -> Counts:
    """What a step of the first rank should be seen to do; one process tells lines of code."""
    parallel, model, count = config.parallel, config.model, config.accumulation
    if parallel.world_size == 1:
        return [{"quantity": f"lines {way}", "value": n} for way, n in lines.counted().items()]
    found = {}
    flows = config.micro_batch_size * model.seq_length * model.hidden_size * FLOAT
    explicit = parallel.tensor_model_parallel_size > 1 and parallel.pipeline_model_parallel_size < 2
    if explicit and not parallel.sequence_parallel and not parallel.spmd:
        # Of [b, s, h]: g and f in attention and MLP, the embedding's g, the head's f.
        found["expected calls"] = count * (4 * model.num_layers + 2)
        found["formula bytes"] = count * 4 * model.num_layers * flows
    if parallel.label.startswith("pp"):
        found["formula bytes"] = count * flows  # to the next stage; the first one gets as many
    if not parallel.spmd:
        layers = model.num_layers
        step = dry_run(config, vocab, num_layers=layers, micro_batches=count)
        calls = [one for one in step.collectives if not one.operation.startswith("recv")]
        found["planned bytes"] = sum(call.bytes for call in calls)
        if parallel.label.startswith("dp") and parallel.pipeline_model_parallel_size < 2:
            # The gradient, and with ZeRO-1 the rows that were updated.
            share = 1 + parallel.distributed_optimizer / parallel.data_parallel_size
            found["formula bytes"] = round(FLOAT * step.parameters * share)
    return [{"rank": 0, "quantity": name, "value": value} for name, value in found.items()]


def batches(config: Config, corpus: Any, mesh: Mesh) -> list[list[dict[str, torch.Tensor]]]:
    """The micro-batches of this rank's replica, by step; of the same samples at every split."""
    trainer, task, size = config.trainer, config.learning.task(), config.micro_batch_size
    samples = training_samples(
        config.reader, corpus, config.model.seq_length, [config.samples], config.seed
    )
    whole, share = trainer.global_batch_size, trainer.global_batch_size // mesh.data.size
    found = []
    for step in range(BATCHES):
        first = step * whole + share * mesh.data.rank
        starts = range(first, first + share, size)
        arrays = [task.collate([samples[i + k] for k in range(size)]) for i in starts]
        found.append([{n: torch.from_numpy(a) for n, a in one.items()} for one in arrays])
    return found


def train(config: Config, corpus: Any, out: Path, counts: Counts) -> None:
    """One step, the watched ones, and then on without a watch; the first rank writes rows."""
    watch, world = spans.Watch(), config.parallel.world_size
    mesh = Mesh() if world == 1 else build_mesh(config.parallel.axes, "cpu")
    watching = Rank(
        config, corpus.vocab_size, spans.watched(mesh, watch), spans.watched_stage(watch)
    )
    given = batches(config, corpus, mesh)
    first = watching.step(given[0])
    began = time.monotonic()
    write = _writer(out, began) if mesh_rank() == 0 else None
    if write:
        write(1, first)
    steps = list(_watched(watching, watch, given, config.parallel.spmd))
    resident = memory_bytes(torch.device("cpu"))
    peak = watching.peak_bytes(given[0])
    mine = {"steps": steps, "resident": resident, "peak": peak}
    everyones: list[Any] = [mine]
    if world > 1:
        everyones = [None] * world
        dist.all_gather_object(everyones, mine)
    if write:
        counts += told(everyones, config.accumulation)
        size = config.micro_batch_size * config.model.seq_length * config.model.hidden_size * FLOAT
        calls = [one for one in steps[-1][2] if one.axis == "tensor" and one.nbytes == size]
        counts.append({"rank": 0, "quantity": "flowing calls", "value": len(calls)})
        (out / "counted.json").write_text(json.dumps(counts), encoding="utf-8")
    # A network of its own for the times, without watched groups.
    del watching
    rank = Rank(config, corpus.vocab_size, mesh)
    for step in itertools.count(2):
        result = rank.step(given[step % BATCHES])
        if write:
            write(step, result)


def _watched(
    rank: Rank, watch: spans.Watch, given: Any, spmd: bool
) -> Iterator[tuple[float, float, list[spans.Span]]]:
    """(begin, end, spans) of each watched step, to which all ranks come together."""
    for number in range(WARM + WATCHED):
        if dist.is_initialized():
            dist.barrier()
        watch.start()
        begin = time.monotonic()
        # Its calls are seen below autograd only, which takes time for each operation.
        with spans.Functional(watch) if spmd else nullcontext():
            rank.step(given[number % BATCHES])
        end = time.monotonic()
        found = watch.stop()
        if number >= WARM:
            yield begin, end, found


def told(everyones: list[Any], micro_batches: int) -> Counts:
    """Rows of counted.json of what every rank has seen."""
    rows: Counts = []
    ranks = range(len(everyones))
    for rank in ranks:
        for quantity in ("resident", "peak"):
            value = everyones[rank][quantity]
            rows.append({"rank": rank, "quantity": f"{quantity} bytes", "value": value})
        for key, value in _sent(everyones[rank]["steps"][-1][2]).items():
            rows.append({"rank": rank, "quantity": key, "value": value})
    drawn = len(ranks) <= DRAWN_RANKS and micro_batches <= DRAWN_MICRO_BATCHES
    lengths = []
    cut = []
    for step in range(len(everyones[0]["steps"])):
        begins, ends, found = zip(*(one["steps"][step] for one in everyones), strict=True)
        cut.append(spans.parts(found, [min(begins)] * len(begins)))
        lengths.append(max(ends) - min(begins))
        for rank in ranks:
            for kind in (spans.WAITING, spans.SENDING):
                share = spans.total(cut[-1][rank], kind) / lengths[-1]
                about = {"rank": rank, "step": step + 1, "quantity": kind}
                rows.append(about | {"value": round(share, 5)})
    if drawn:
        middle = sorted(range(len(lengths)), key=lengths.__getitem__)[len(lengths) // 2]
        rows += _drawn(cut[middle], lengths[middle])
    return rows


def _sent(found: list[spans.Span]) -> Counter[str]:
    """Calls, and bytes given, of one step by axis and operation."""
    sent: Counter[str] = Counter()
    for one in found:
        if one.operation != spans.RECEIVE:
            sent[f"calls {one.axis} {one.operation}"] += 1
            sent[f"bytes {one.axis} {one.operation}"] += one.nbytes
    return sent


def _drawn(cut: list[list[spans.Part]], length: float) -> Counts:
    """Milliseconds of the parts of one step that are long enough to be seen, and of the whole."""
    rows: Counts = []
    for rank, found in enumerate(cut):
        rows.append({"rank": rank, "quantity": "span step", "value": 0.0, "end": 1000 * length})
        for part in found:
            if part.end - part.begin >= LEAST * length:
                at = {"value": round(1000 * part.begin, 4), "end": round(1000 * part.end, 4)}
                rows.append({"rank": rank, "quantity": f"span {part.kind}"} | at)
    return rows


def mesh_rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def _writer(out: Path, began: float) -> Any:
    file = (out / "metrics.jsonl").open("a", encoding="utf-8")

    def write(step: int, result: Any) -> None:
        row = {
            "step": step, "seconds": time.monotonic() - began, "train/loss": result.loss,
            "grad_norm": result.grad_norm, "perf/memory_bytes": memory_bytes(torch.device("cpu")),
        }  # fmt: skip
        file.write(json.dumps(row) + "\n")
        file.flush()

    return write


if __name__ == "__main__":
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    main()
