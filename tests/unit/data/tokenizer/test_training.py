"""Training on words without end, and training that is interrupted."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from hydratron.data.tokenizer import Tokenizer, train_bpe, train_wordpiece
from hydratron.data.tokenizer.training import LONGEST_WORD, bounded, train
from hydratron.errors import DataError, Problem

DASHES, SPACES = "-" * 1000, " " * 1000


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("plain words\n", 1), ("", 1), (f"a {'x' * LONGEST_WORD} b", 1),
        (f"a {'x' * (LONGEST_WORD + 1)} b", 2), (f"{DASHES}\n\n{DASHES} a", 7),
        (f"a{SPACES}b{DASHES}", 7),
    ],
)  # fmt: skip
def test_runs_are_cut_and_nothing_else(text: str, pieces: int) -> None:
    cut = list(bounded([text]))
    assert "".join(cut) == text
    assert len(cut) == pieces
    assert all(len(run) <= LONGEST_WORD for piece in cut for run in re.findall(r"\S+|\s+", piece))


@pytest.mark.parametrize(
    ("trained", "before", "learnt"), [(train_bpe, 257, "aa"), (train_wordpiece, 7, "##aa")]
)
def test_no_entry_is_learnt_of_a_word_without_end(
    trained: Callable[[Iterable[str], int], Tokenizer], before: int, learnt: str
) -> None:
    """Each merge doubles a run of one letter, so that entries tell how long the word was."""
    with pytest.raises(DataError, match="the text gives at most") as caught:
        trained(["a" * 5000], before + 20)
    most = int(str(caught.value).split()[-2])
    tokenizer = trained(["a" * 5000], most)
    assert max(len(name) for name in tokenizer._inner.get_vocab()) <= LONGEST_WORD + 2
    assert tokenizer.token_id(learnt) is not None


def test_a_word_without_end_comes_back() -> None:
    blob = "".join(chr(97 + i * i % 26) for i in range(3000))
    tokenizer = train_bpe([blob, "a few words beside it"], 270)
    assert tokenizer.decode(tokenizer.encode(blob)) == blob


def test_an_error_of_the_text_is_raised() -> None:
    def texts() -> Iterator[str]:
        yield "one"
        raise DataError([Problem("a.jsonl:2", "", "not a JSON object")])

    with pytest.raises(DataError, match=r"a\.jsonl:2: not a JSON object"):
        train_bpe(texts(), 300)


class Deaf:
    """A library that hears no signal: it works until it is released."""

    def __init__(self) -> None:
        self.release, self.ended = threading.Event(), threading.Event()
        self.refused: BaseException | None = None

    def train_from_iterator(self, texts: Iterator[str], trainer: Any) -> None:
        try:
            next(texts)
            os.kill(os.getpid(), signal.SIGINT)
            self.release.wait(60)
            next(texts)
        except BaseException as error:
            self.refused = error
        finally:
            self.ended.set()


def test_an_interrupt_does_not_wait_for_the_library() -> None:
    library: Any = Deaf()
    trainer: Any = None
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            train(library, iter(["one", "two"]), trainer)
        assert not library.ended.is_set()
    finally:
        signal.signal(signal.SIGINT, before)
        library.release.set()
    assert library.ended.wait(60)
    assert isinstance(library.refused, InterruptedError)  # no more text
