"""Whether the kernel has killed a process for memory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

# Of this control group (version 2), else of the whole host.
COUNTERS = (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat"))


def kills(counters: Sequence[Path] = COUNTERS) -> int:
    """How often so far; 0 where nothing counts it."""
    for path in counters:
        try:
            text = path.read_text(encoding="utf-8")
        except OSError:
            continue
        if found := re.search(r"^oom_kill (\d+)$", text, re.MULTILINE):
            return int(found.group(1))
    return 0
