"""The backends by which layers are compiled in tests: the real one in whole matrices alone."""

from __future__ import annotations

import shutil

import pytest

NONE_HERE = pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
BACKENDS = ["eager", pytest.param("inductor", marks=[pytest.mark.whole, NONE_HERE])]
