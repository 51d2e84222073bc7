"""Sentences of a text, found by Wikimedia's `sentencex`."""

from __future__ import annotations

from importlib import metadata

ENGLISH = "en"


def splitter() -> str:
    """The library and its version: another one may find other sentences."""
    return f"sentencex {metadata.version('sentencex')}"


def split_sentences(text: str, language: str) -> list[str]:
    """The sentences in order, without white space around them; empty ones are dropped.

    `language` is a code such as `en`; one that the library lacks is treated like English.
    """
    from sentencex import segment

    stripped = (sentence.strip() for sentence in segment(language, text))
    return [sentence for sentence in stripped if sentence]
