"""A model trained here leaves for plain transformers, which scores and continues it as it does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hydratron.cli import main
from hydratron.interop import own
from hydratron.job import named_checkpoint
from tests.helpers import foreign

pytest.importorskip("transformers")
TEXT = " ".join(foreign.WORDS[::-1] + foreign.WORDS) + ". "
BOOK = "These states hold that the union of the people is liberty, and it was so long ago. " * 9
PROMPT, NEW = "the people of", 12
TRAIN = [
    "train", "model=gpt_pico", "model.num_layers=2", "model.hidden_size=32", "model.seq_length=48",
    "model.vocab_multiple=64", "data=text", "data.path=text", "data.cache_dir=cache", "logger=none",
    "tokenizer.vocab_size=270", "trainer.accelerator=cpu", "trainer.max_steps=8", "optim.lr=3e-3",
    "trainer.global_batch_size=4", "trainer.val_samples=2", "trainer.val_every_n_steps=8",
    "schedule.warmup_steps=1", "launch.threads_per_rank=1", "hydra.run.dir=job",
]  # fmt: skip
# Independent of this package, which it could not import: windows, sums and greedy choice anew.
PLAIN = """\
import json, math, sys, torch
sys.modules["hydratron"] = None
from transformers import AutoModelForCausalLM, AutoTokenizer
model, info = AutoModelForCausalLM.from_pretrained("model", output_loading_info=True)
assert not any(info.values()), info
tokenizer = AutoTokenizer.from_pretrained("model")
text = open("book.txt", encoding="utf-8").read()
ids = torch.tensor([tokenizer.bos_token_id, *tokenizer(text).input_ids])
context, total, scored = model.config.n_positions, 0.0, 0
stride = context // 2
for start in range(0, len(ids), stride):
    end = min(start + context, len(ids) - 1)
    with torch.no_grad():
        scores = model(ids[None, start:end]).logits[0].double().log_softmax(-1)
    losses = -scores.gather(-1, ids[start + 1 : end + 1, None])[:, 0]
    new = end - scored
    total, scored = total + losses[len(losses) - new :].sum().item(), end
    if end == len(ids) - 1:
        break
prompt = torch.tensor([tokenizer(sys.argv[1]).input_ids])
count = int(sys.argv[2])
said = model.generate(prompt, max_new_tokens=count, min_new_tokens=count, do_sample=False)
perplexity = math.exp(total / scored)
print(json.dumps({"perplexity": perplexity, "tokens": scored, "said": said[0].tolist()}))
"""


def test_plain_transformers_scores_and_continues_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").mkdir()
    for number in range(40):
        (tmp_path / "text" / f"{number:02d}.txt").write_text(TEXT * (10 + number))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "book.txt").write_text(BOOK)
    assert main(TRAIN) == 0
    task = ["--task", "perplexity", "--data", "elsewhere/book.txt", "--threads", "1"]
    found = []
    for way in ([], ["--parallel", "tp2", "--batch", "3", "--again"]):
        assert main(["evaluate", "job", *task, *way]) == 0
        (path,) = Path("job").rglob("evaluation.json")
        found.append(json.loads(path.read_text()))
    ours, again = found
    assert again["metrics"] == pytest.approx(ours["metrics"], rel=1e-5)
    assert main(["convert", "job", "elsewhere/model", "--to", "huggingface"]) == 0
    # -I: neither the working folder nor PYTHONPATH is looked at.
    command = [sys.executable, "-I", "-c", PLAIN, PROMPT, str(NEW)]
    plain = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, check=True)
    theirs = json.loads(plain.stdout)
    assert theirs["tokens"] == ours["tokens"]
    assert ours["metrics"]["perplexity"] == pytest.approx(theirs["perplexity"], rel=1e-4)
    assert greedy(Path("job")) == theirs["said"]


def greedy(job: Path) -> list[int]:
    """The prompt and NEW tokens after it, by our network's own logits."""
    checkpoint = named_checkpoint(job)
    assert checkpoint is not None
    model = own.read(checkpoint)
    network, ids = model.network(), model.tokenizer.encode(PROMPT)
    for _ in range(NEW):
        hidden = network(torch.tensor([ids]))
        logits = network.tied_logits(hidden)[0, -1, : model.vocab_size].clone()
        # transformers is asked for NEW tokens whatever they are, and leaves out the end.
        logits[model.tokenizer.eod] = -torch.inf
        ids.append(int(logits.argmax()))
    return ids
