"""Every target is scored once, after as much as the context holds."""

from __future__ import annotations

import numpy as np
import pytest

from hydratron.evaluation.windows import batches, over_texts, overlapping


def test_the_papers_file_gives_megatrons_windows() -> None:
    starts, lengths, scored = overlapping(270_329, 1024, 32)
    # Megatron-LM makes 31 more, which score nothing.
    assert len(starts) == 8_448 - 31
    assert (scored[0], set(scored[1:-1].tolist()), scored.sum()) == (1024, {32}, 270_328)
    assert starts[1] == 32
    assert lengths.max() == 1024
    assert len(overlapping(270_329, 1024, 1024)[0]) == 264


@pytest.mark.parametrize("length", [2, 3, 9, 10, 11, 40])
@pytest.mark.parametrize(("context", "stride"), [(8, 3), (8, 8), (4, 1)])
def test_each_target_once_with_its_own_text_before_it(
    length: int, context: int, stride: int
) -> None:
    texts = [100 * number + np.arange(length) for number in (1, 2)]
    windows = over_texts(texts, context, stride)
    seen = []
    for batch in batches(windows, 3):
        for row, column, target in zip(batch.rows, batch.columns, batch.targets, strict=True):
            before = batch.tokens[row, : column + 1]
            assert np.array_equal(before, np.arange(target - len(before), target))
            first = 100 * (target // 100)
            assert len(before) >= min(target - first, context - stride + 1)
            seen.append(int(target))
    assert sorted(seen) == [int(token) for text in texts for token in text[1:]]


def test_parts_share_the_windows() -> None:
    windows = over_texts([np.arange(50)], 8, 3)
    parts = [np.concatenate([b.numbers for b in batches(windows, 2, n, 3)]) for n in range(3)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(windows)))
