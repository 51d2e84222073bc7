"""Which type each code names, and which type a vocabulary gets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hydratron.data.indexed import idx_path, token_dtype
from tests.unit.data.indexed.golden import TYPES, write


@pytest.mark.parametrize(("dtype", "code"), list(zip(TYPES, range(1, 9), strict=True)))
def test_every_type_has_its_code(tmp_path: Path, dtype: str, code: int) -> None:
    assert idx_path(write(tmp_path / "x", dtype=dtype)).read_bytes()[17] == code


def test_the_token_type_changes_at_65500_entries() -> None:
    assert token_dtype(65499) == np.uint16
    assert token_dtype(65500) == np.int32
