"""One conversion: what the input is, what becomes of it, and that both sides compute the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hydratron.config import huggingface as foreign_options
from hydratron.config.huggingface import is_huggingface
from hydratron.data.folders import replacing
from hydratron.data.tokenizer import Tokenizer
from hydratron.errors import HydratronError
from hydratron.interop import agreement, huggingface, megatron, own
from hydratron.interop.comparison import Batch, Outputs, compare
from hydratron.interop.model import HEADS, Model
from hydratron.interop.names import stream_scale
from hydratron.job import named_checkpoint, write_json
from hydratron.tasks.table import PRETRAIN

HYDRATRON, HUGGINGFACE = "hydratron", "huggingface"
FORMATS = (HYDRATRON, HUGGINGFACE)
KINDS = (
    "a job folder or checkpoint of hydratron, a folder of Hugging Face's with config.json, or a "
    "checkpoint of Megatron-LM"
)
Other = Callable[[Batch, Any], Outputs]


@dataclass(frozen=True)
class Source:
    """What an input was read as: `other` computes its outputs without our network."""

    kind: str
    model: Model
    other: Other | None
    label: str


@dataclass(frozen=True)
class Outcome:
    """What a conversion did; `difference` is the largest one of the outputs, relative."""

    kind: str
    model: Model
    difference: float

    @property
    def missing(self) -> tuple[str, ...]:
        """Heads that a BERT has here and the source does not."""
        if self.model.options.architecture == "gpt" or self.model.task != PRETRAIN:
            return ()
        return tuple(head for head in HEADS if head not in self.model.heads)


def convert(
    source: Path,
    output: Path,
    to: str,
    tokenizer: Tokenizer | None = None,
    stated: Sequence[str] = (),
    shard_bytes: int = huggingface.SHARD_BYTES,
) -> Outcome:
    """Write `source` as the folder `output`, which appears whole or not at all.

    `tokenizer` takes the place of the source's own; `stated` are options of the model, KEY=VALUE,
    that a source of Megatron's does not say.  Raises HydratronError with one line for a source that
    is none, does not map, is damaged, or computes something else once it is converted.
    """
    free(output)
    huggingface.transformers()  # Before minutes of work, not after.
    read = open_source(source, tokenizer, stated)
    if read.kind == to:
        hint = "; --parallel rewrites it for other degrees" if to == HYDRATRON else ""
        raise HydratronError(f"{source}: is {to}'s already{hint}")
    if to == HUGGINGFACE:  # What does not map is said before anything is written.
        huggingface.class_of(foreign_options.family_of(read.model.options), read.model)
    worst = 0.0
    if read.other is not None:
        worst = compare(read.model, read.other, str(source))
    output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(output) as building:
        if to == HUGGINGFACE:
            huggingface.write(building, read.model, shard_bytes)
            other = agreement.outputs(building, read.model, whole=True)
            scaled = stream_scale(read.model.options) != 1.0
            worst = max(worst, compare(read.model, other, str(source), scaled))
            agreement.same_tokens(building, read.model)
        else:
            _as_job(building, read)
    return Outcome(read.kind, read.model, worst)


def open_source(path: Path, tokenizer: Tokenizer | None, stated: Sequence[str] = ()) -> Source:
    """Read the model in `path`.  Raises HydratronError where it is nothing that is known."""
    if not path.exists():
        raise HydratronError(f"{path}: no such file or folder")
    if stated and not megatron.is_megatron(path):
        raise HydratronError(f"--model {stated[0]}: {path} says itself what its model is")
    label = path.resolve().name
    if (checkpoint := named_checkpoint(path)) is not None:
        return Source(HYDRATRON, own.read(checkpoint, tokenizer), None, label)
    if is_huggingface(path):
        model, _ = huggingface.read(path, tokenizer)
        return Source(HUGGINGFACE, model, agreement.outputs(path, model, whole=False), label)
    if megatron.is_megatron(path):
        if tokenizer is None:
            expected = "Megatron-LM's checkpoints have no tokenizer; name it by --tokenizer"
            raise HydratronError(f"{path}: {expected}")
        model, other = megatron.read(path, tokenizer, stated)
        return Source("megatron", model, other, label)
    raise HydratronError(f"{path}: is neither {KINDS}")


def free(output: Path) -> None:
    """Raise HydratronError unless `output` is a folder that is not there yet, or empty."""
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise HydratronError(f"{output}: is there already; name a new folder")


def _as_job(building: Path, read: Source) -> None:
    """Our folder, read back and compared, so that what was written is what was checked."""
    checkpoint = own.write(building, read.model)
    again = own.read(checkpoint)
    for name, tensor in read.model.padded().items():
        if not again.tensors[name].equal(tensor):
            raise HydratronError(f"{building}: {name} did not come back as it was written")
    origin = {"converted_from": read.label, "format": read.kind}
    started = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(building / "provenance.json", {"verb": "convert", "started": started, **origin})
