"""One rank's part of an evaluation by lm-eval: the first runs the harness, all compute for it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from hydratron.checkpoint.manifest import Verified
from hydratron.config.schema import Config
from hydratron.data.tokenizer import Tokenizer
from hydratron.evaluation import harness
from hydratron.evaluation.contract import Scores
from hydratron.evaluation.decoding import Text, next_tokens
from hydratron.evaluation.exchange import Asked, scores_of
from hydratron.evaluation.harness_run import ASKED, FOUND, TOKENIZER
from hydratron.evaluation.loading import Loaded, loaded
from hydratron.evaluation.sampling import Chooser, Sampling
from hydratron.evaluation.score import window_scores
from hydratron.evaluation.together import Together
from hydratron.evaluation.windows import Windows, batches
from hydratron.job import JobFolder, read_json, write_json
from hydratron.models.language import LanguageModel
from hydratron.training.precision import autocast


def judge(config: Config, folder: JobFolder, resume_from: Verified | None) -> dict[str, Any]:
    """Score what `folder` asks on this rank of the open process group; rank 0 writes what came out.

    The replicas share the windows that are scored, and all go on with the same texts.
    """
    asked = read_json(folder.path / ASKED)
    assert asked is not None
    tokenizer = Tokenizer.load(folder.path / TOKENIZER, asked["end"])
    run = loaded(config, Path(asked["checkpoint"]), tokenizer.vocab_size)
    together = Together(
        {
            "score": partial(scored, run, tokenizer.vocab_size, asked["batch"]),
            "go_on": partial(gone_on, run.network, tokenizer),
        },
        run.device,
    )
    began = time.monotonic()
    with torch.inference_mode(), autocast(config.trainer.precision, run.device.type)():
        if dist.get_rank() == 0:
            found = _asked_by_harness(asked, tokenizer, together, _teller(folder))
            together.end()
            write_json(folder.path / FOUND, found | {"seconds": time.monotonic() - began})
        else:
            together.follow()
    return {"status": "completed"}


def scored(run: Loaded, vocab_size: int, batch: int, windows: Windows) -> Scores:
    """On every rank, the scores of all windows."""
    asked = Asked(Path(), windows, vocab_size, batch)
    own = batches(windows, batch, run.mesh.data.rank, run.mesh.data.size)
    parts = window_scores(run.network, asked, own).to(run.device)
    return scores_of(run.mesh.data.all_reduce(parts).cpu().numpy())


def gone_on(
    network: LanguageModel,
    tokenizer: Tokenizer,
    tokens: Sequence[int],
    most: int,
    until: Sequence[str],
    sampling: Sampling,
    number: int,
) -> str:
    """On every rank, the text after `tokens` up to the first of `until`, or the end of text."""
    text, whole = Text(tokenizer, tokens), ""
    for token in next_tokens(
        network, tokens, most, tokenizer.vocab_size, Chooser(sampling, number)
    ):
        if token == tokenizer.eod:
            break
        text.add(token)
        whole = text.text
        if any(end in whole for end in until):
            break
    for end in until:
        whole = whole.split(end)[0] if end else whole
    return whole


def _asked_by_harness(
    asked: dict[str, Any], tokenizer: Tokenizer, together: Together, tell: Callable[[int], None]
) -> dict[str, Any]:
    from hydratron.evaluation.harness_model import HarnessModel  # Needs the optional extra.

    model = HarnessModel(
        tokenizer,
        asked["context"],
        partial(together.call, "score"),
        partial(together.call, "go_on"),
        tell,
    )
    include = None if asked["include"] is None else Path(asked["include"])
    metrics = harness.evaluated(harness.Asked(asked["tasks"], include, asked["limit"]), model)
    return {"metrics": metrics, "cut": model.cut}


def _teller(folder: JobFolder) -> Callable[[int], None]:
    """Adds up the requests that are done, and says so in metrics.jsonl."""
    began, done = time.monotonic(), 0

    def tell(count: int) -> None:
        nonlocal done
        done += count
        row = {"step": done, "seconds": time.monotonic() - began}
        with folder.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    return tell
