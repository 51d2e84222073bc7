"""Tab completion: the shells' scripts, and the answers that they ask `hydratron` for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from hydratron.config.keys import options
from hydratron.config.planning import of_plan

BASH = """\
_hydratron() {
    local line=${COMP_LINE:0:COMP_POINT} IFS=$'\\n'
    local word=${line##*[[:space:]]}
    COMPREPLY=($(compgen -W "$(hydratron completion query "$line" 2>/dev/null)" -- "$word"))
    # Where bash breaks words at = it replaces only what follows the last one.
    if [[ $word == *=* && $COMP_WORDBREAKS == *=* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${word%=*}="}")
    fi
    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} != *[=./,] ]]; then
        compopt +o nospace 2>/dev/null
    fi
}
complete -o nospace -o default -F _hydratron hydratron
"""
ZSH = """\
_hydratron() {
    local -a answers
    answers=(${(f)"$(hydratron completion query "${(j: :)words[1,CURRENT]}" 2>/dev/null)"})
    compadd -S '' -- $answers
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _hydratron hydratron
"""
FISH = """\
complete -c hydratron -f -a '(hydratron completion query (commandline -cp | string collect))'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
Words = Callable[[Sequence[str]], Sequence[str]]
NO_WORDS: Mapping[str, Words] = {}


def script(shell: str) -> str:
    """What the shell evaluates to complete `hydratron`."""
    return SCRIPTS[shell]


def complete(
    line: str, flags: Mapping[str, Sequence[str]], words_of: Mapping[str, Words] = NO_WORDS
) -> list[str]:
    """What the last word of a command line up to the cursor could become.

    `flags` are the verbs, each with its options that start with --; `words_of` the other words
    that a verb takes, by what was typed after it.
    The answers are whole words.  No answer leaves the shell to its own completion of files.
    """
    words = line.split()
    word = "" if not words or line[-1:].isspace() else words.pop()
    before = words[1:]
    if not before:
        candidates = [*flags, "--help", "--version"]
    elif word.startswith("-"):
        candidates = [*flags.get(before[0], [])]
    elif before[0] == "train":
        return [answer for answer in _overrides(before[1:], word) if not of_plan(answer)]
    elif before[0] == "plan":
        return _overrides(before[1:], word)
    else:
        candidates = [*words_of.get(before[0], lambda typed: ())(before[1:])]
    return [candidate for candidate in candidates if candidate.startswith(word)]


def _overrides(before: Sequence[str], word: str) -> list[str]:
    """Groups, choices, keys and values, of the last element where the word is a sweep."""
    key, equals, value = word.partition("=")
    head, comma, last = value.rpartition(",")
    prefix = f"{key}={head}," if comma else ""
    option = options().get(key)
    if equals and option is not None:
        values = option.bounds.get("choices") or (("true", "false") if option.kind is bool else ())
        if values:
            start = prefix or f"{key}="
            return [f"{start}{choice}" for choice in values if choice.startswith(last)]
    asked = f"{key}={last}" if comma else word
    answers = [answer for answer in _ask_hydra(before, asked) if answer.startswith(asked)]
    return [f"{prefix}{answer.removeprefix(f'{key}=')}" if comma else answer for answer in answers]


def _ask_hydra(before: Sequence[str], word: str) -> list[str]:
    """Files, choices, groups, keys or a key's value; those that begin with `word` are among them.

    A mistake earlier in the line leaves little to say about what follows.
    """
    from hydra import compose
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.object_type import ObjectType
    from hydra.errors import HydraException
    from hydra.plugins.completion_plugin import CompletionPlugin
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from hydratron.config.compose import CONFIG_NAME, composer

    chosen = [item for item in before if "=" in item and "," not in item]
    key, equals, value = word.partition("=")
    if value.startswith((".", "/")):
        return [f"{key}={file}" for file in CompletionPlugin.complete_files(value)]

    def listed(group: str, kind: ObjectType) -> list[str]:
        return loader.get_group_options(group, kind, CONFIG_NAME, chosen)

    found: list[str] = []
    with composer(), suppress(HydraException, OmegaConfBaseException):
        loader = GlobalHydra.instance().config_loader()
        if equals and (choices := listed(key, ObjectType.CONFIG)):
            return [f"{key}={choice}" for choice in choices]
        parent, slash, _ = word.rpartition("/")
        groups = [f"{parent}{slash}{name}" for name in listed(parent, ObjectType.GROUP)]
        for group in (group for group in groups if group.startswith(word)):
            found += [f"{group}="] * bool(listed(group, ObjectType.CONFIG))
            found += [f"{group}/"] * bool(listed(group, ObjectType.GROUP))
        composed = compose(CONFIG_NAME, chosen, return_hydra_config=True)
        if equals:
            set_to = OmegaConf.select(composed, key)
            return [] if set_to is None else [f"{key}={set_to}"]
        parent, dot, _ = word.rpartition(".")
        node = OmegaConf.select(composed, parent) if dot else composed
        for key in map(str, node if OmegaConf.is_dict(node) else ()):
            inner = OmegaConf.is_dict(OmegaConf.select(composed, f"{parent}{dot}{key}"))
            found.append(f"{parent}{dot}{key}{'.' if inner else '='}")
    return sorted(found)
