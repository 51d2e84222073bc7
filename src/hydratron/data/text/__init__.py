"""Text from files of several kinds, read as a stream, and where it may be cut."""

from hydratron.data.text.cutting import next_boundary, next_paragraph
from hydratron.data.text.sources import Source, open_source
from hydratron.data.text.split import RULE, split_pieces

__all__ = [
    "RULE",
    "Source",
    "next_boundary",
    "next_paragraph",
    "open_source",
    "split_pieces",
]
