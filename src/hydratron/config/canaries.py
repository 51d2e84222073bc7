"""Secrets that a command would write into files: refused by the name of where they come from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hydratron.config.load import to_dict
from hydratron.config.schema import Config
from hydratron.errors import ConfigError, Problem
from hydratron.job import flatten

# Variables that hold a secret, by their names.
NAMES = re.compile(
    r"API_?KEY|SECRET|PASSW|PASSPHRASE|CREDENTIAL|PRIVATE_?KEY|(^|_)(TOKEN|KEY|PAT)(_|$)", re.I
)
SHORTEST = 8  # letters; a shorter value, as `true`, also stands in texts by chance
# Secrets that say what they are: Hugging Face, GitHub, OpenAI and the like, AWS, Slack, W&B, a
# password in an address.
KINDS = re.compile(
    r"\b(hf_\w{20,}|gh[pousr]_\w{20,}|github_pat_\w{20,}|sk-[\w-]{20,}|AKIA[0-9A-Z]{16}"
    r"|xox[abp]-[\w-]{10,}|wandb_v\d_\w{20,})|://[^/\s:@]+:[^/\s:@]+@"
)
EXPECTED = "secrets belong in the environment, not here: this would be written into files"


def refuse(
    overrides: Sequence[str], configs: Iterable[Config], environment: Mapping[str, str]
) -> None:
    """Raise ConfigError for overrides, and options as composed, that hold a secret.

    Its value is the one of a variable of the environment, typed or put there by an interpolation,
    or looks like one.  The message never repeats it.
    """
    secrets = {
        name: value
        for name, value in environment.items()
        if NAMES.search(name) and len(value) >= SHORTEST and not _is_path(value)
    }
    texts = [tuple(line.partition("=")[::2]) for line in overrides]
    texts += [
        (k, str(value)) for config in configs for k, value in flatten(to_dict(config)).items()
    ]
    found = {}
    for key, text in texts:
        names = [name for name, value in secrets.items() if value in text]
        if names or KINDS.search(text):
            what = f"holds the value of ${names[0]}; " if names else "looks like a secret; "
            found[key] = Problem(key, "***", what + EXPECTED)
    if found:
        raise ConfigError(list(found.values()))


def _is_path(value: str) -> bool:
    try:
        return Path(value).exists()
    except (OSError, ValueError):
        return False
