"""Files of torch.save that anybody may have written: read with a list of what may be named.

Nothing of a file runs.  torch's own restricted reader makes tensors and containers; of Megatron-LM
only the classes of `STUBS` may be named, and a stub of ours stands for each, which keeps what was
written and does nothing.  Tried with torch 2.11 and 2.13.
"""

from __future__ import annotations

import argparse
import pathlib
import pickle
import re
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hydratron.errors import HydratronError

# next-facts B.1: what Megatron-LM v1.0 to core 0.16 pickle beside tensors and containers.
STUBS = (
    "megatron.fp16.loss_scaler.DynamicLossScaler",
    "megatron.fp16.loss_scaler.LossScaler",
    "fp16.loss_scaler.DynamicLossScaler",
    "fp16.loss_scaler.LossScaler",
    "megatron.core.enums.ModelType",
    "megatron.enums.ModelType",
    "megatron.model.enums.ModelType",
    "megatron.core.transformer.enums.AttnBackend",
    "megatron.core.transformer.enums.CudaGraphScope",
    "megatron.core.transformer.enums.CudaGraphModule",
    "megatron.core.transformer.enums.InferenceCudaGraphScope",
    "megatron.core.optimizer.optimizer_config.OptimizerConfig",
    "megatron.core.rerun_state_machine.RerunDiagnostic",
    "megatron.core.rerun_state_machine.RerunMode",
    "megatron.core.rerun_state_machine.RerunState",
    "signal.Signals",
    "pathlib.PosixPath",
    "io.BytesIO",
)
NAMED = re.compile(r"(?:GLOBAL|global|function|class) (?:`|')?([\w.]+)")


class Stub:
    """Stands for a class that is not here: it takes any arguments and keeps any state."""

    def __init__(self, *values: Any) -> None:
        self.value = values[0] if values else None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def read(file: Path) -> dict[str, Any]:
    """The dictionary in the file, its tensors on the CPU.

    Raises HydratronError where it names anything else, is cut, or holds no dictionary.
    """
    try:
        with torch.serialization.safe_globals(_allowed()):
            content = torch.load(file, map_location="cpu", weights_only=True)
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise HydratronError(f"{file}: {error.strerror}") from None
    except pickle.UnpicklingError as error:
        named = _named(file, str(error))
        if named is None:
            raise HydratronError(f"{file}: cut, damaged or no checkpoint of torch's") from None
        said = f"asks for {named}, which has no business in a checkpoint; nothing was run"
        raise HydratronError(f"{file}: {said}") from None
    except Exception as error:  # A cut zip, a broken tensor: torch has no one class for them.
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise HydratronError(f"{file}: cut, damaged or no checkpoint of torch's: {text}") from None
    if not isinstance(content, dict):
        raise HydratronError(f"{file}: holds a {type(content).__name__}, not a checkpoint")
    return content


def _allowed() -> list[Any]:
    """Names and what stands for each; each stub is a class of its own, since torch wants that."""
    allowed: list[Any] = [argparse.Namespace, types.SimpleNamespace]
    for name in STUBS:
        allowed.append((type(name.rpartition(".")[2], (Stub,), {}), name))
    # numpy moved its functions; torch knows neither place.
    rebuild = np.empty(0).__reduce__()[0]
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        allowed.append((rebuild, f"{module}._reconstruct"))
        allowed.append((np.float64(0).__reduce__()[0], f"{module}.scalar"))
    allowed += [np.ndarray, np.dtype]
    allowed += [type(np.dtype(kind)) for kind in ("u4", "u8", "i4", "i8", "f4", "f8", "u1", "bool")]
    return [*allowed, (_PosixPath, "pathlib._local.PosixPath")]


class _PosixPath(Stub):
    """`pathlib.PosixPath` of newer Pythons."""


def _named(file: Path, said: str) -> str | None:
    """The first global that the file asks for and may not, if that is what is wrong."""
    try:
        with torch.serialization.safe_globals(_allowed()):
            unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(file)
        if unsafe:
            return str(unsafe[0])
    except Exception:  # The old tar format, and what is no archive at all.
        pass
    found = NAMED.search(said)
    return found[1] if found and "." in found[1] else None


def plain(value: Any) -> Any:
    """What a stub of an enum or a path stands for."""
    if isinstance(value, Stub | pathlib.PurePath):
        return getattr(value, "value", str(value))
    return value
