"""One rank's part of generation: the checkpoint loaded at these degrees, its prompts continued."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import torch
import torch.distributed as dist

from hydratron.checkpoint.manifest import Verified
from hydratron.config.schema import Config
from hydratron.data.tokenizer import Tokenizer
from hydratron.evaluation.decoding import Text, next_tokens
from hydratron.evaluation.generate import ASKED, SAID, TOKENIZER
from hydratron.evaluation.loading import loaded
from hydratron.evaluation.sampling import Chooser, Sampling
from hydratron.job import JobFolder, read_json
from hydratron.models.language import LanguageModel
from hydratron.training.precision import autocast

END_OF_TEXT, MAX_TOKENS = "end_of_text", "max_tokens"


@dataclass(frozen=True)
class Ended:
    """What became of a prompt; `tokens` are the new ones, without one that ends the text."""

    prompt: str
    text: str
    tokens: list[int]
    prompt_tokens: int
    seed: int
    stop: str
    tokens_per_second: float


def speak(config: Config, folder: JobFolder, resume_from: Verified | None) -> dict[str, Any]:
    """Go on with what `folder` asks on this rank of the open group; rank 0 says it."""
    asked = read_json(folder.path / ASKED)
    assert asked is not None
    tokenizer = Tokenizer.load(folder.path / TOKENIZER, asked["end"])
    network, _, device = loaded(config, Path(asked["checkpoint"]), tokenizer.vocab_size)
    sampling = Sampling(**asked["sampling"])
    # The other ranks know the same and say nothing.
    said = folder.path / SAID if dist.get_rank() == 0 else Path(os.devnull)
    with (
        said.open("a", encoding="utf-8") as file,
        torch.inference_mode(),
        autocast(config.trainer.precision, device.type)(),
    ):
        for number, prompt in enumerate(asked["prompts"]):
            ended = _go_on(network, tokenizer, sampling, number, prompt, file)
            _say(file, {"prompt": number, "end": asdict(ended)})
    return {"status": "completed"}


def _go_on(
    network: LanguageModel,
    tokenizer: Tokenizer,
    sampling: Sampling,
    number: int,
    prompt: dict[str, Any],
    file: IO[str],
) -> Ended:
    began, stop, tokens = time.perf_counter(), MAX_TOKENS, []
    text, choose = Text(tokenizer, prompt["tokens"]), Chooser(sampling, number)
    made = 0
    for token in next_tokens(
        network, prompt["tokens"], prompt["most"], tokenizer.vocab_size, choose
    ):
        made += 1
        if token == tokenizer.eod:
            stop = END_OF_TEXT
            break
        tokens.append(token)
        if piece := text.add(token):
            _say(file, {"prompt": number, "piece": piece})
    seconds = time.perf_counter() - began
    if rest := text.rest():
        _say(file, {"prompt": number, "piece": rest})
    return Ended(
        prompt=prompt["text"],
        text=text.text,
        tokens=tokens,
        prompt_tokens=len(prompt["tokens"]),
        seed=sampling.seed,
        stop=stop,
        tokens_per_second=round(made / seconds, 1),
    )


def _say(file: IO[str], content: dict[str, Any]) -> None:
    print(json.dumps(content), file=file, flush=True)
