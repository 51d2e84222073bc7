"""Texts as they were typed, whatever Hydra's grammar makes of them.

To Hydra `data.path=1e5` and `hydra.sweep.dir=2024_10` are the numbers 100000.0 and 202410, and
`~/texts` or `données` are no values at all.  Where an option is a text, such a word is quoted
before Hydra sees it.  Lists and sweeps keep their meaning; so do quotes and what has braces.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException

from hydratron.config.keys import marked, options, set_value, value_of
from hydratron.config.schema import Config

# Of Hydra's own keys; `~` is the home folder there too.
HYDRA_FOLDERS = ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir", "hydra.searchpath")
# Calls whose arguments are values; those of others, such as range(1,3), are their own.
OF_VALUES = ("choice", "shuffle", "sort")
TOKEN = re.compile(
    r"""'(?:\\.|[^'\\])*' | "(?:\\.|[^"\\])*" | [\[\](),] | (?:\\.|[^\\\[\](),'"])+""", re.VERBOSE
)


def as_typed(lines: Sequence[str]) -> list[str]:
    """The overrides of a command line, with quotes where a text needs them."""
    return [_line(line) for line in lines]


def at_home(config: Config) -> Config:
    """The same configuration; a leading `~` of every path in it has become the home folder."""
    for key in marked("path"):
        value = value_of(config, key)
        if isinstance(value, list):
            set_value(config, key, [os.path.expanduser(path) for path in value])
        elif value is not None:
            set_value(config, key, os.path.expanduser(value))
    return config


def _line(line: str) -> str:
    key, _, value = line.partition("=")
    name = key.lstrip("+")
    known = options().get(name)
    text = name in HYDRA_FOLDERS or (known is not None and known.kind in (str, list[str]))
    tokens = TOKEN.findall(value)
    if not (text and value) or "{" in value or "".join(tokens) != value:
        return line
    calls: list[str] = []
    for i, token in enumerate(tokens):
        if token == "(":
            calls.append(tokens[i - 1].strip() if i else "")
        elif token == ")":
            calls = calls[:-1]
        elif token[0] not in "[](),'\"" and tokens[i + 1 : i + 2] != ["("]:
            of_value = not calls or (calls[-1] in OF_VALUES and "=" not in token)
            tokens[i] = _word(token, name) if of_value else token
        elif token[0] in "'\"" and name in HYDRA_FOLDERS:
            tokens[i] = token[0] + os.path.expanduser(token[1:])
    return f"{key}={''.join(tokens)}"


def _word(typed: str, name: str) -> str:
    """One value without quotes, quoted unless Hydra reads the same text from it, or null."""
    word = os.path.expanduser(typed.strip()) if name in HYDRA_FOLDERS else typed.strip()
    if not word or "\\" in word:
        return typed
    try:
        read = OverridesParser.create().parse_overrides([f"x={word}"])[0].value()
        if read is None or read == word:
            return word
    except HydraException:
        pass  # such as ~ or a letter that is not ASCII
    return QuotedString(word, Quote.single).with_quotes()
