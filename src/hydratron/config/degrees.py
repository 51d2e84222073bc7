"""The choices of `parallel=`: any of `tpA`, `dpB` and `ppC`, joined by `_`, or `single`."""

from __future__ import annotations

import re

GROUP = "parallel"
OPTIONS = {
    "tp": "tensor_model_parallel_size",
    "dp": "data_parallel_size",
    "pp": "pipeline_model_parallel_size",
}
SINGLE = "single"
# What help and tab completion offer; any other name of the form is as good.
USUAL = (SINGLE, *(f"tp{n}" for n in (2, 4, 8)), *(f"dp{n}" for n in (2, 4, 8, 64)))
USUAL += ("tp2_dp2", "tp2_dp4", "tp4_dp2", "tp2_dp64", "tp4_dp64", "tp8_dp64")
USUAL += ("pp2", "pp4", "tp2_pp2", "dp2_pp2", "tp8_dp32_pp2")
# Pipelines train; what reads a checkpoint does it without.
READING = tuple(name for name in USUAL if "pp" not in name)
FORM = "tpA, dpB, ppC or several of them joined by _, e.g. tp2_dp8; or single"
PART = re.compile(r"(tp|dp|pp)([1-9][0-9]*)")


def sizes(choice: str) -> dict[str, int] | None:
    """Every option of `parallel` that the choice sets; None when it is not of the form."""
    found = [PART.fullmatch(part) for part in choice.split("_")] if choice != SINGLE else []
    named = {match[1]: int(match[2]) for match in found if match}
    if len(named) < len(found):
        return None
    return {option: named.get(axis, 1) for axis, option in OPTIONS.items()}


def label(*numbers: int) -> str:
    """The choice with these degrees of tp, dp and pp; a degree of one is left out."""
    parts = zip(OPTIONS, numbers, strict=True)
    return "_".join(f"{axis}{number}" for axis, number in parts if number > 1) or SINGLE


def problem(choice: object) -> str | None:
    """What is wrong with the choice; None when nothing is."""
    return f"no such choice; {FORM}" if sizes(str(choice)) is None else None
