"""Megatron-LM's checkpoints in: every order of query_key_value, every degree, and nothing runs."""

from __future__ import annotations

import os
import pickle
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed.checkpoint as dcp

from hydratron.errors import HydratronError
from hydratron.interop import layout, megatron, unpickle
from hydratron.interop.comparison import compare
from hydratron.interop.model import Model
from hydratron.interop.own import alone
from tests.helpers import foreign
from tests.helpers.foreign import ARGS, write_legacy

STATED = ("num_attention_heads=4", "gelu=tanh", "layernorm.eps=3e-5")


def read(path: Path, made: Model, stated: tuple[str, ...] = ()) -> Model:
    """The model, whose outputs are compared with Megatron's own arithmetic."""
    found, other = megatron.read(path, made.tokenizer, stated)
    assert compare(found, other, str(path)) < 1e-12
    return found


def equal(left: Model, right: Model) -> None:
    assert left.tensors.keys() == right.tensors.keys()
    for name, tensor in right.tensors.items():
        assert tensor.equal(left.tensors[name]), name


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("version", [None, 0, 1.0, 2.0, 3.0])
def test_every_order_of_rows_at_every_degree(
    version: float | None, ranks: int, tmp_path: Path
) -> None:
    made = foreign.model("gpt2")
    found = read(write_legacy(tmp_path / "m", made, ranks, version, ARGS), made)
    equal(found, made)
    assert found.options.layernorm.eps == 3e-5
    assert (found.options.gelu, found.options.num_attention_heads) == ("tanh", 4)


def test_a_bert_with_its_heads(tmp_path: Path) -> None:
    made = foreign.model("megatron-bert")
    args = ARGS | {"bias_gelu_fusion": False}
    equal(read(write_legacy(tmp_path / "m", made, 2, 0, args), made), made)


def test_what_no_args_say_is_asked_for(tmp_path: Path) -> None:
    made = foreign.model("gpt2")
    path = write_legacy(tmp_path / "m", made, 1, None, None)
    for number, key in enumerate(("num_attention_heads", "layernorm.eps", "gelu")):
        stated = tuple(STATED[place] for place in (0, 2, 1)[:number])
        with pytest.raises(HydratronError, match=f"does not say {key}; state it: --model {key}="):
            megatron.read(path, made.tokenizer, stated)
    equal(read(path, made, STATED), made)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"apply_residual_connection_post_layernorm": True}, "post_layernorm=True: does not map"),
        ({"position_embedding_type": "rope"}, "position_embedding_type=rope: does not map"),
        ({"num_attention_heads": 5}, "num_attention_heads=5: does not divide 32"),
    ],
)
def test_arguments_that_do_not_map_are_named(
    args: dict[str, Any], said: str, tmp_path: Path
) -> None:
    made = foreign.model("gpt2")
    path = write_legacy(tmp_path / "m", made, 1, 3.0, ARGS | args)
    with pytest.raises(HydratronError, match=said):
        megatron.read(path, made.tokenizer, ())


def test_a_wrong_order_does_not_compute_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = foreign.model("gpt2")
    path = write_legacy(tmp_path / "m", made, 2, 0, ARGS)
    monkeypatch.setattr(layout.Parts, "ordered", lambda self, name, tensor: tensor)
    found, other = megatron.read(path, made.tokenizer, ())
    with pytest.raises(HydratronError, match="logits of both sides differ"):
        compare(found, other, "m")


def test_ranks_that_lack_are_named(tmp_path: Path) -> None:
    made = foreign.model("gpt2")
    path = write_legacy(tmp_path / "m", made, 2, 3.0, ARGS)
    (path / "iter_0000007" / "mp_rank_01").rename(path / "iter_0000007" / "mp_rank_03")
    with pytest.raises(HydratronError, match="mp_rank_01 is missing"):
        megatron.read(path, made.tokenizer, ())


def write_torch_dist(folder: Path, made: Model) -> Path:
    """Core's names, layers stacked, an extra state and a moment beside them."""
    folder.mkdir()
    tensors: dict[str, Any] = {}
    rules = (
        ("input_layernorm", "self_attention.linear_qkv.layer_norm_"),
        ("post_attention_layernorm", "mlp.linear_fc1.layer_norm_"),
        ("attention.query_key_value", "self_attention.linear_qkv"),
        ("attention.dense", "self_attention.linear_proj"),
        ("mlp.dense_h_to_4h", "mlp.linear_fc1"),
        ("mlp.dense_4h_to_h", "mlp.linear_fc2"),
    )
    old = foreign.megatron_rank(made, 0, 1, 3.0)
    for name, tensor in old.items():
        part = name.split(".")
        if part[1] == "layers":
            theirs = next(new for was, new in rules if was == ".".join(part[3:-1]))
            dot = "" if theirs.endswith("_") else "."
            same = [n for n in old if n.split(".")[3:] == part[3:] and ".layers." in n]
            stack = torch.stack([old[n] for n in sorted(same)])
            tensors[f"decoder.layers.{theirs}{dot}{part[-1]}"] = stack
        else:
            tensors[name.replace("transformer.", "decoder.")] = tensor
    tensors["optimizer.state.exp_avg.embedding.word_embeddings.weight"] = torch.ones(3)
    tensors["decoder.layers.mlp.linear_fc1._extra_state/shard_0_3"] = b"anything"
    planner = dcp.DefaultSavePlanner(flatten_state_dict=False)
    with alone():
        dcp.save(tensors, checkpoint_id=str(folder), planner=planner)
    torch.save({"args": Namespace(**ARGS), "checkpoint_version": 3.0}, folder / "common.pt")
    (folder / "metadata.json").write_text('{"sharded_backend": "torch_dist"}')
    return folder


def test_torch_dist_is_read_with_its_stacked_layers(tmp_path: Path) -> None:
    made = foreign.model("gpt2")
    equal(read(write_torch_dist(tmp_path / "m", made), made), made)


def test_a_cut_torch_dist_is_one_line(tmp_path: Path) -> None:
    made = foreign.model("gpt2")
    path = write_torch_dist(tmp_path / "m", made)
    shard = next(path.glob("*.distcp"))
    shard.write_bytes(shard.read_bytes()[:-40_000])
    with pytest.raises(HydratronError, match=r"bytes of tensors, [0-9,]+ lie here") as caught:
        megatron.read(path, made.tokenizer, ())
    assert len(str(caught.value).splitlines()) == 1


class Evil:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.fault
@pytest.mark.parametrize("kind", ["zip", "tar", "pickle"])
def test_a_hostile_pickle_does_not_run(kind: str, tmp_path: Path) -> None:
    file, marker = tmp_path / "model_optim_rng.pt", tmp_path / "marker"
    content = {"model": torch.ones(2), "args": Evil(marker)}
    if kind == "pickle":
        file.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, file, _use_new_zipfile_serialization=kind == "zip")
    with pytest.raises(HydratronError) as caught:
        unpickle.read(file)
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).startswith(f"{file}: ")
    if kind != "pickle":
        assert "asks for posix.system" in str(caught.value)
    assert not marker.exists()


def test_what_megatron_pickles_beside_its_tensors_is_kept_inert(tmp_path: Path) -> None:
    """A class of Megatron-LM's, which is not installed under this name, and numpy's states."""
    import sys
    import types

    import numpy as np

    module = types.ModuleType("megatron.fp16.loss_scaler")
    scaler = type("DynamicLossScaler", (), {"__module__": module.__name__})
    module.DynamicLossScaler = scaler  # type: ignore[attr-defined]
    made = scaler()
    made.cur_scale = 65536.0
    file = tmp_path / "model_optim_rng.pt"
    names = ("megatron", "megatron.fp16", "megatron.fp16.loss_scaler")
    before = {name: sys.modules.get(name) for name in names}
    try:
        sys.modules.update(dict.fromkeys(names, module))
        torch.save({"scaler": made, "rng": np.random.get_state()}, file)
    finally:
        for name, was in before.items():
            sys.modules.pop(name)
            sys.modules.update({} if was is None else {name: was})
    found = unpickle.read(file)
    assert isinstance(found["scaler"], unpickle.Stub)
    assert len(found["rng"][1]) == 624
    file.write_bytes(file.read_bytes()[:-900])
    with pytest.raises(HydratronError, match="cut, damaged or no checkpoint"):
        unpickle.read(file)
