"""WikiText's tokenised text back to prose, by the rules of Megatron-LM v1.0, in their order.

With GPT-2's tokenizer they give the paper's 270,329 tokens of 245,566 words (appendix E.1).
"""

from __future__ import annotations

import re

DEGREE = chr(176)
# Each rule sees what the one before has made.  Megatron-LM has one more, for years after an
# apostrophe, whose pattern has slashes that no text has: it never matched, and is left out.
RULES: tuple[tuple[re.Pattern[str] | str, str], ...] = (
    ("s '", "s'"),
    (" @-@ ", "-"),
    (" @,@ ", ","),
    (" @.@ ", "."),
    (" : ", ": "),
    (" ; ", "; "),
    (" . ", ". "),
    (" ! ", "! "),
    (" ? ", "? "),
    (" , ", ", "),
    (re.compile(r"\(\s*([^\)]*?)\s*\)"), r"(\1)"),
    (re.compile(r"\[\s*([^\]]*?)\s*\]"), r"[\1]"),
    (re.compile(r"{\s*([^}]*?)\s*}"), r"{\1}"),
    (re.compile(r"\"\s*([^\"]*?)\s*\""), r'"\1"'),
    (re.compile(r"'\s*([^']*?)\s*'"), r"'\1'"),
    ("= = = =", "===="),
    ("= = =", "==="),
    ("= =", "=="),
    (f" {DEGREE} ", DEGREE),
    (" \n", "\n"),
    ("\n ", "\n"),
    (" N ", " 1 "),
    (" 's", "'s"),
)


def detokenize(text: str) -> str:
    """The text as a person would have written it."""
    for pattern, replacement in RULES:
        if isinstance(pattern, str):
            text = text.replace(pattern, replacement)
        else:
            text = pattern.sub(replacement, text)
    return text
