"""`init_from=` before the ranks start: its checkpoint, made of a foreign folder if need be."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from hydratron.config.huggingface import CONFIG
from hydratron.config.schema import Config
from hydratron.data.corpus import Corpus
from hydratron.data.folders import locked
from hydratron.data.manifest import TOKENIZER
from hydratron.data.progress import LateProgress
from hydratron.data.tokenizer import Tokenizer
from hydratron.errors import DataError, Problem
from hydratron.hashing import file_sha256, json_sha256
from hydratron.interop.convert import HYDRATRON, convert
from hydratron.interop.model import summary
from hydratron.job import named_checkpoint
from hydratron.parallel.mesh import Mesh
from hydratron.parallel.random import RandomStreams
from hydratron.training.build import build_network, parameter_table
from hydratron.training.initial import Fates, fates, other_heads, saved_weights

WEIGHTS = "weights"


@dataclass(frozen=True)
class Initial:
    """The checkpoint that a run starts from, and what becomes of its tensors."""

    source: str
    checkpoint: Path
    fates: Fates

    @property
    def line(self) -> str:
        """For a person: what is taken, drawn anew and left."""
        found = self.fates
        parts = [f"takes {len(found.taken)} tensors"]
        for names, what in ((found.drawn, "draws anew"), (found.left, "leaves")):
            parts.append(f"{what} {summary(names) if names else 'none'}")
        return f"init_from={self.source}: {'; '.join(parts)}"

    def record(self, folder: Path) -> Mapping[str, Any]:
        """For provenance.json of the job in `folder`; the place is relative to that."""
        place = os.path.relpath(self.checkpoint, folder)
        return {"initial": {"checkpoint": place} | asdict(self.fates)}


def initial(config: Config, corpus: Corpus) -> Initial:
    """What `config.init_from` gives a run over these tokens.

    A folder of Hugging Face's is converted once, into `data.cache_dir`.  Raises HydratronError for
    weights that do not fit the model, and for another tokenizer than the tokens'.
    """
    assert config.init_from is not None
    source = Path(config.init_from)
    checkpoint = named_checkpoint(source)
    if checkpoint is None:
        checkpoint = _imported(source, Path(config.data.cache_dir).absolute())
    _same_tokenizer(source, checkpoint, corpus)
    with torch.random.fork_rng(devices=[]):
        network = build_network(config, corpus.vocab_size, Mesh(), RandomStreams(0), "meta")
    shapes = {name: list(parameter.shape) for name, parameter in network.named_parameters()}
    anew = other_heads(config.learning, checkpoint)
    weights, rows = saved_weights(checkpoint), corpus.vocab_size
    found = fates(shapes, parameter_table(config), weights, rows, source, anew)
    return Initial(config.init_from, checkpoint.resolve(), found)


def _imported(source: Path, cache: Path) -> Path:
    """The checkpoint made of a foreign folder, found again by the folder's content."""
    files = sorted([*source.glob("*.safetensors"), *source.glob("*.json"), *source.glob("*.txt")])
    content = {file.name: file_sha256(file) for file in files}
    folder = cache / f"{WEIGHTS}-{json_sha256(content)[:16]}"
    assert CONFIG in content  # `init_problems` saw it.
    if named_checkpoint(folder) is None:
        with LateProgress(True) as bar, locked(folder, bar):
            bar.start("converting the weights")
            if named_checkpoint(folder) is None:
                convert(source, folder, HYDRATRON)
    found = named_checkpoint(folder)
    assert found is not None
    return found


def _same_tokenizer(source: Path, checkpoint: Path, corpus: Corpus) -> None:
    """Raise DataError where an id means something else to the weights than to the tokens."""
    if not (checkpoint / TOKENIZER).is_file():
        return  # Older checkpoints: the rows of the vocabulary are compared with the tokens' size.
    theirs, tokens = Tokenizer.load(checkpoint / TOKENIZER), corpus.tokenizer
    if theirs.entries == tokens.entries:
        return
    kind = "bert" if corpus.sentences else "gpt2"
    advice = f"tokenizer={kind} tokenizer.path={checkpoint / TOKENIZER} has the right one"
    said = "the tokens are of another tokenizer of that size"
    if theirs.vocab_size != tokens.vocab_size:
        said = f"the tokens are of one with {tokens.vocab_size:,}"
    expected = f"its tokenizer has {theirs.vocab_size:,} entries, {said}; {advice}"
    raise DataError([Problem("init_from", source, expected)])
