"""YAML that anybody may have written: plain values of bounded size and depth, and no aliases."""

from __future__ import annotations

from typing import Any

import yaml

# Ten times faster where PyYAML was built with libyaml, as its wheels are.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Far above any configuration's: a whole one of ours has about 150 values in three levels.
MOST_LETTERS, MOST_VALUES, DEEPEST = 1_000_000, 20_000, 50


def read(text: str) -> Any:
    """The content; yaml.YAMLError, in one line, also for what is too large to be a configuration.

    It is looked through before anything is built: an alias may stand for billions of values.
    """
    if len(text) > MOST_LETTERS:
        raise yaml.YAMLError(f"{len(text):,} letters, more than {MOST_LETTERS:,}")
    depth = values = 0
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.AliasEvent):
            line = event.start_mark.line + 1 if event.start_mark else "?"
            raise yaml.YAMLError(f"line {line}: an alias (*) is not taken")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        values += isinstance(event, yaml.ScalarEvent)
        if depth > DEEPEST:
            raise yaml.YAMLError(f"more than {DEEPEST} levels")
        if values > MOST_VALUES:
            raise yaml.YAMLError(f"more than {MOST_VALUES:,} values")
    try:
        return yaml.load(text, Loader=LOADER)
    except ValueError as error:  # A number of 5,000 digits, a month of 99 days.
        raise yaml.YAMLError(str(error)) from None
