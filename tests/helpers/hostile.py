"""Files that somebody made to do harm: what each is, and the doors that it is carried to."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.metadata import BytesStorageMetadata

from hydratron.hashing import file_sha256

Make = Callable[[Path, str], None]  # of a job folder, and the command that leaves the canary


class Calls:
    """Calls a function when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


class Builds:
    """Hides the call in the state of an object."""

    def __init__(self, inner: Calls) -> None:
        self.inner = inner


def checkpoint(job: Path) -> Path:
    return next((job / "checkpoints").glob("step_*"))


def signed(path: Path, **more: Any) -> None:
    """The manifest vouches for whatever is there now."""
    files = {
        file.name: {"bytes": file.stat().st_size, "sha256": file_sha256(file)}
        for file in path.iterdir()
        if file.name != "manifest.json" and file.is_file()
    }
    (path / "manifest.json").write_text(json.dumps({"files": files | more}))


def both(text: str) -> Make:
    """Lines at the end of config.yaml, of the job and of its checkpoint."""

    def make(job: Path, command: str) -> None:
        for file in (job / "config.yaml", checkpoint(job) / "config.yaml"):
            file.write_text(file.read_text() + text.replace("COMMAND", command) + "\n")
        signed(checkpoint(job))

    return make


def instead(text: str | bytes) -> Make:
    """In the place of config.yaml."""
    content = text if isinstance(text, bytes) else text.encode()

    def make(job: Path, command: str) -> None:
        for file in (job / "config.yaml", checkpoint(job) / "config.yaml"):
            file.write_bytes(content.replace(b"COMMAND", command.encode()))
        signed(checkpoint(job))

    return make


def metadata(content: Callable[[str], Any]) -> Make:
    def make(job: Path, command: str) -> None:
        made = content(command)
        data = made if isinstance(made, bytes) else pickle.dumps(made)
        (checkpoint(job) / ".metadata").write_bytes(data)
        signed(checkpoint(job))

    return make


def changed_metadata(change: Callable[[Any], None]) -> Make:
    def make(job: Path, command: str) -> None:
        file = checkpoint(job) / ".metadata"
        content = pickle.loads(file.read_bytes())
        change(content)
        file.write_bytes(pickle.dumps(content))
        signed(checkpoint(job))

    return make


def file(name: str, content: str | bytes) -> Make:
    """A file of the checkpoint, vouched for."""

    def make(job: Path, command: str) -> None:
        data = content if isinstance(content, bytes) else content.encode()
        (checkpoint(job) / name).write_bytes(data.replace(b"COMMAND", command.encode()))
        signed(checkpoint(job))

    return make


def named(name: str) -> Make:
    return lambda job, command: signed(checkpoint(job), **{name: {"bytes": 1, "sha256": "0"}})


def linked(name: str) -> Make:
    def make(job: Path, command: str) -> None:
        found = checkpoint(job) / name
        outside = job.parent / "outside"
        outside.write_bytes(found.read_bytes())
        found.unlink()
        found.symlink_to(outside)

    return make


def fifo(name: str) -> Make:
    def make(job: Path, command: str) -> None:
        (job / name).unlink(missing_ok=True)
        os.mkfifo(job / name)

    return make


def beside(name: str, content: str | bytes) -> Make:
    """A file of the job's folder."""

    def make(job: Path, command: str) -> None:
        data = content if isinstance(content, bytes) else content.encode()
        (job / name).parent.mkdir(parents=True, exist_ok=True)
        (job / name).write_bytes(data.replace(b"COMMAND", command.encode()))

    return make


def _elsewhere(content: Any) -> None:
    for place in content.storage_data.values():
        place.relative_path = "../../../../etc/passwd"


def _bytes(content: Any) -> None:
    content.state_dict_metadata[next(iter(content.state_dict_metadata))] = BytesStorageMetadata()


def _huge(content: Any) -> None:
    found = content.state_dict_metadata["model/word_embeddings.weight"]
    found.size = torch.Size([1 << 40, 1 << 20])
    found.chunks[0].sizes = found.size


def _global(module: str, name: str, argument: str) -> bytes:
    """The opcodes of a call, by hand: no class of Python's would write them."""
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + f"(V{argument}\ntR.".encode()


ALIASES = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60)
)
DEEP = "[" * 100_000
# To every reader of a configuration.
CONFIGS: dict[str, Make] = {
    "python/object/apply": both("x: !!python/object/apply:os.system ['COMMAND']"),
    "python/object/new": both(
        "x: !!python/object/new:subprocess.Popen {args: [['sh', '-c', 'COMMAND']]}"
    ),
    "python/name": both("x: !!python/name:os.system"),
    "a tag of one's own": both("x: !Ref {name: 1}"),
    "_target_": both("_target_: os.system\n_args_: ['COMMAND']"),
    "_target_ in a section": instead("model: {_target_: os.system, command: 'COMMAND'}"),
    "an alias bomb": instead(ALIASES),
    "a merge key": both("x: &b {seed: 1}\ny:\n  <<: *b"),
    "levels": instead("a: " + "[" * 5000 + "]" * 5000),
    "a number of 5,000 digits": both("seed: " + "9" * 5000),
    "a number of 60 digits": both("seed: " + "9" * 60),
    "no UTF-8": instead(b"seed: \xff\xfe\n"),
    "NUL": instead("seed: 1\0"),
    "a list": instead("- seed\n- 1"),
    "an interpolation as a number": both("seed: ${oc.decode:${oc.env:HOME}}"),
    "infinity": both("optim: {lr: .inf}"),
    "a key twice": both("seed: 1\nseed: 2"),
    "a key that is a list": instead("? [a, b]\n: 1"),
}
# To whoever loads tensors: convert, init_from; a training does it by the same function.
CHECKPOINTS: dict[str, Make] = {
    "reduce": metadata(lambda command: Calls(os.system, command)),
    "reduce in a state": metadata(lambda command: Builds(Calls(os.system, command))),
    "eval": metadata(
        lambda command: Calls(eval, f"__import__('os').system({command!r})")
    ),
    "a global by hand": metadata(lambda command: _global("posix", "system", command)),
    "a global with dots": metadata(
        lambda command: _global("torch", "serialization.os.system", command)
    ),
    "a class of ours": metadata(lambda command: _global("hydratron.cli", "main", command)),
    "a shard elsewhere": changed_metadata(_elsewhere),
    "a pickled object for a tensor": changed_metadata(_bytes),
    "a tensor of 2**62 bytes": changed_metadata(_huge),
    "a manifest that names ../": named("../config.yaml"),
    "a manifest that names /etc/passwd": named("/etc/passwd"),
    "a manifest that names NUL": named("a\0b"),
    "a manifest without end": lambda job, command: beside(
        f"checkpoints/{checkpoint(job).name}/manifest.json", DEEP
    )(job, command),
    "a number for a hash": lambda job, command: signed(checkpoint(job), **{"state.json": 5}),
    "a shard that is a link": linked("__0_0.distcp"),
    "a tokenizer without end": file("tokenizer.json", DEEP),
    "a tokenizer of nothing": file("tokenizer.json", '{"model": {"type": "COMMAND"}}'),
    "a state without end": file("state.json", DEEP),
    "a state that is a list": file("state.json", "[1, 2]"),
    "a state of NaN": file("state.json", '{"version": 2, "step": NaN, "participants": NaN}'),
    "a shard that is a pickle": lambda job, command: _shard(job, Calls(os.system, command)),
}  # fmt: skip


def _shard(job: Path, content: Any) -> None:
    (checkpoint(job) / "__0_0.distcp").write_bytes(pickle.dumps(content))
    signed(checkpoint(job))


MARKUP = "<img src=x onerror=alert(1)><script>alert(1)</script>"
ROW = json.dumps({"step": 1, "tokens": 1, "seconds": 1.0, "train/loss": 5.0})
# To the page, which shows what it can read and says what it cannot.
PAGES: dict[str, Make] = {
    "metrics of NaN and infinity": beside(
        "metrics.jsonl", ROW + '\n{"step": 2, "train/loss": NaN, "val/loss": 1e999}\n'
    ),
    "metrics that are no numbers": beside(
        "metrics.jsonl", ROW + '\n{"step": {}, "train/loss": []}\n'
    ),
    "metrics without end": beside("metrics.jsonl", ROW + "\n" + DEEP + "\n"),
    "metrics of 400 digits": beside("metrics.jsonl", '{"step": ' + "9" * 400 + "}\n"),
    "metrics of 5,000 digits": beside("metrics.jsonl", '{"step": ' + "9" * 5000 + "}\n"),
    "markup as a metric": beside("metrics.jsonl", json.dumps({"step": 1, MARKUP: 1.0}) + "\n"),
    "a result without end": beside("result.json", DEEP),
    "a result that is a list": beside("result.json", "[]"),
    "markup as a failure": beside("failure.json", json.dumps({"kind": MARKUP, "message": MARKUP})),
    "a failure of lists": beside("failure.json", '{"kind": [], "message": {"a": 1}}'),
    "a link of javascript": beside(
        "wandb.json", '{"id": "x", "url": "javascript:alert(1)", "project": "<script>"}'
    ),
    "a provenance of numbers": beside("provenance.json", '{"commit": 5, "versions": []}'),
    "markup as a model": both(f"model: {{name: '{MARKUP}'}}"),
    "an evaluation of nothing": beside(
        "checkpoints/evaluations/x/evaluation.json", '{"metrics": {}, "checkpoint": 5}'
    ),
    "a FIFO for metrics": fifo("metrics.jsonl"),
    "a FIFO for a configuration": fifo("config.yaml"),
    "a FIFO for a result": fifo("result.json"),
}  # fmt: skip
