"""BERT's uncased WordPiece: trained on a corpus, or the published one from its vocab.txt.

Text is lowered, accents are dropped, and words split at white space and punctuation; a piece
inside a word starts with "##".  A character outside the vocabulary makes its whole word [UNK].
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from hydratron.data.samples.bert_tokens import CLS, CONTINUATION, MASK, PAD, SEP
from hydratron.data.tokenizer.tokenizer import (
    TOKENIZER_FILE,
    Tokenizer,
    refuse_path,
    refuse_size,
)
from hydratron.data.tokenizer.training import bounded, train

UNKNOWN = "[UNK]"
SPECIAL = (PAD, UNKNOWN, CLS, SEP, MASK)
VOCABULARY_FILE = "vocab.txt"
# Rarer characters stay unknown, as in BERT's own vocabulary, so that they do not fill a small one.
LARGEST_ALPHABET = 1000
COUNTED_AT_ONCE = 1 << 20
LONGEST_TEXT = 1 << 16


def train_wordpiece(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Learn `vocab_size` entries: [PAD] [UNK] [CLS] [SEP] [MASK], characters, then longer pieces.

    Deterministic.  Raises DataError when the texts give fewer entries or have more characters.
    """
    words = _words(bounded(texts))
    start = [*SPECIAL, *_alphabet(words)]
    if len(start) > vocab_size:
        refuse_size(vocab_size, f"the characters of the text take {len(start)} entries")
    inner = tokenizers.Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    # The library numbers single continuation characters in the order of a hash map, and its ties
    # follow those numbers; as given entries they have one order.
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=start,
        continuing_subword_prefix=CONTINUATION,
        show_progress=False,
    )
    known = set(start)
    train(
        inner,
        (
            text
            for word, count in words.items()
            if known.issuperset(_pieces(word))
            for text in _repeated(word, count)
        ),
        trainer,
    )
    # Built anew, since only the five are special.
    tokenizer = _from_vocabulary(inner.get_vocab())
    if tokenizer.vocab_size < vocab_size:
        refuse_size(vocab_size, f"the text gives at most {tokenizer.vocab_size} entries")
    return tokenizer


def _words(texts: Iterable[str]) -> Counter[str]:
    """How often each word occurs, in the form that is cut into pieces."""
    normalizer, splitter = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    words: Counter[str] = Counter()
    raw: Counter[str] = Counter()

    def fold() -> None:
        for word, count in raw.items():
            for part, _ in splitter.pre_tokenize_str(normalizer.normalize_str(word)):
                words[part] += count
        raw.clear()

    # Each different word goes through the library once, which is 7 times faster than whole texts.
    for text in texts:
        raw.update(text.split())
        if len(raw) > COUNTED_AT_ONCE:
            fold()
    fold()
    return words


def _repeated(word: str, count: int) -> Iterator[str]:
    """The word `count` times, in texts that the library holds cheaply."""
    most = max(LONGEST_TEXT // (len(word) + 1), 1)
    for start in range(0, count, most):
        yield f"{word} " * min(most, count - start)


def _pieces(word: str) -> list[str]:
    """The word as single characters, "##" before each but the first."""
    return [word[0], *(CONTINUATION + character for character in word[1:])]


def _alphabet(words: Counter[str]) -> list[str]:
    """Each character, and "##" before it where a word has it inside; the rarest are left out."""
    characters: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            characters[character] += count
    common = sorted(characters, key=lambda character: (-characters[character], character))
    kept = set(common[:LARGEST_ALPHABET])
    inside = {CONTINUATION + character for word in words for character in word[1:]}
    return sorted(kept | {piece for piece in inside if piece[-1] in kept})


def open_bert(path: str | None, end: str | None = None) -> Tokenizer:
    """BERT's uncased tokenizer from `tokenizer.path`; DataError when its file is not there.

    The path is a folder with `vocab.txt` or `tokenizer.json`, or one such file.  `end` names
    the entry that ends a document, if it is another than usual.
    """
    expected = f"a {VOCABULARY_FILE} or a {TOKENIZER_FILE}, or a folder with one of them"
    if not path:
        refuse_path("null", f"tokenizer=bert needs {expected}")
    try:
        file = _bert_file(Path(path))
        if file.suffix == ".json":
            tokenizer = Tokenizer.load(file, end)
        else:
            tokenizer = _from_vocabulary(models.WordPiece.read_file(str(file)), end)
    except FileNotFoundError:
        refuse_path(path, f"must be {expected}")
    except Exception as error:  # the library raises bare Exception
        refuse_path(path, f"cannot be used: {error}")
    if lacking := [name for name in SPECIAL if tokenizer.token_id(name) is None]:
        refuse_path(path, f"cannot be used: the vocabulary has no {' and no '.join(lacking)}")
    return tokenizer


def _bert_file(path: Path) -> Path:
    if path.is_file():
        return path
    for name in (VOCABULARY_FILE, TOKENIZER_FILE):
        if (path / name).is_file():
            return path / name
    raise FileNotFoundError(path)


def _from_vocabulary(vocabulary: dict[str, int], end: str | None = None) -> Tokenizer:
    inner = _uncased(models.WordPiece(vocabulary, unk_token=UNKNOWN))
    # Marks entries of the vocabulary, and adds none: a missing one is reported by name.
    inner.add_special_tokens([name for name in SPECIAL if name in vocabulary])
    return Tokenizer(inner, end)


def _uncased(model: models.Model) -> tokenizers.Tokenizer:
    inner = tokenizers.Tokenizer(model)
    inner.normalizer = normalizers.BertNormalizer()
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    # Without cleaning up, which would turn "do not" into "don't".
    inner.decoder = decoders.WordPiece(prefix=CONTINUATION, cleanup=False)
    return inner
