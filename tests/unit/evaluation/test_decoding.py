"""The next token, and the text of tokens that come one by one."""

from __future__ import annotations

import pytest
import torch

from hydratron.data.tokenizer import train_bpe
from hydratron.evaluation.decoding import Text
from hydratron.evaluation.sampling import Chooser, Sampling, probabilities

TEXT = "the people, naïve and 北京 🙂🙃 again and again, hold that — and the people"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("top_k", "top_p"), [(0, 1.0), (5, 1.0), (0, 0.6), (7, 0.5), (1, 0.01), (99, 1.0)]
)
def test_what_is_drawn_from_is_what_transformers_draws_from(top_k: int, top_p: float) -> None:
    process = pytest.importorskip("transformers.generation.logits_process")
    logits = 2 * torch.randn(50, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    steps = [process.TemperatureLogitsWarper(0.7)]
    if top_k:
        steps.append(process.TopKLogitsWarper(top_k))
    if top_p < 1:
        steps.append(process.TopPLogitsWarper(top_p))
    theirs = logits[None]
    for step in steps:
        theirs = step(None, theirs)
    found = probabilities(logits, Sampling(0.7, top_k, top_p))
    torch.testing.assert_close(found, theirs[0].softmax(-1))


def test_equals_do_not_add_to_top_k() -> None:
    assert probabilities(torch.ones(4), Sampling(1.0, top_k=2)).tolist() == [0.5, 0.5, 0, 0]
    assert Chooser(Sampling())(torch.tensor([0.0, 2.0, 2.0])) == 1


def test_a_text_is_drawn_by_its_own_seed() -> None:
    def drawn(seed: int, number: int) -> list[int]:
        choose = Chooser(Sampling(1.0, seed=seed), number)
        return [choose(torch.zeros(100)) for _ in range(8)]

    texts = [drawn(0, 0), drawn(0, 1), drawn(1, 0)]
    assert len(set(map(tuple, texts))) == 3
    assert drawn(0, 1) == texts[1]


def test_pieces_end_with_whole_characters() -> None:
    tokenizer = train_bpe([TEXT], 275)
    ids = tokenizer.encode(TEXT)
    text, pieces = Text(tokenizer, ids[:4]), []
    for token in ids[4:]:
        pieces.append(text.add(token))
    assert "" in pieces  # A character of several tokens was waited for.
    assert not any("\ufffd" in piece for piece in pieces)
    assert tokenizer.decode(ids[:4]) + "".join(pieces) == TEXT
    # Bytes that are no text are shown where they end, and lose nothing after them.
    wild = [0xF0, *ids[:3], 0xF1, 0xF2]
    text = Text(tokenizer, ids)
    pieces = [text.add(token) for token in wild]
    assert "".join(pieces) + text.rest() == text.text
    assert text.rest() == ""
    assert text.text == tokenizer.decode([*ids, *wild])[len(TEXT) :]
