"""Text to ids: byte-level BPE (trained, or GPT-2's) and uncased WordPiece (trained, or BERT's)."""

from hydratron.data.tokenizer.bpe import gpt2_files, open_gpt2, train_bpe
from hydratron.data.tokenizer.tokenizer import END_OF_TEXT, Tokenizer
from hydratron.data.tokenizer.wordpiece import open_bert, train_wordpiece

__all__ = [
    "END_OF_TEXT",
    "Tokenizer",
    "gpt2_files",
    "open_bert",
    "open_gpt2",
    "train_bpe",
    "train_wordpiece",
]
