"""Where the ranks of one host meet, and what is said where they cannot."""

from __future__ import annotations

import pytest

from hydratron.errors import JobError
from hydratron.launch import meeting


def test_a_host_without_loopback_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    meeting.check()
    monkeypatch.setattr(meeting, "HERE", "192.0.2.1")  # For documents: nobody's.
    with pytest.raises(JobError, match=r"^192\.0\.2\.1: .*; ranks meet there: is it up\?.*$"):
        meeting.check()
