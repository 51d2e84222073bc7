"""Which documents of a token file train, validate and test, by Megatron-LM's split string."""

from __future__ import annotations

from hydratron.config.data_rules import shares


def split_bounds(split: str, documents: int) -> tuple[int, int, int, int]:
    """Where training starts, and where training, validation and test end, of so many documents.

    The shares are rounded one after the other (halves to even), and the first three bounds after 0
    give back what the rounding is over or under.  Raises ValueError for what is no split string.
    """
    bounds = [0]
    for share in shares(split):
        bounds.append(bounds[-1] + round(share * documents))
    excess = bounds[-1] - documents
    train, validation, test = (bound - excess for bound in bounds[1:])
    return 0, train, validation, test
