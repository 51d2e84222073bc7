"""What ranks hear of the environment in which they are started."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from hydratron.launch.environment import (
    ALLOCATOR,
    LONGEST_FOLDER,
    SPIN,
    inherited,
    loading,
    one_host,
    short_sockets,
)

OF_OTHERS = """
RANK LOCAL_RANK NODE_RANK GROUP_RANK ROLE_RANK WORLD_SIZE LOCAL_WORLD_SIZE GROUP_WORLD_SIZE
ROLE_NAME MASTER_ADDR MASTER_PORT TORCHELASTIC_RUN_ID TORCHELASTIC_MAX_RESTARTS PET_NNODES
WANDB_RUN_ID WANDB_RESUME WANDB_NAME WANDB_RUN_GROUP WANDB_JOB_TYPE WANDB_TAGS WANDB_NOTES
WANDB_PROJECT WANDB_MODE WANDB_DISABLED WANDB_DIR WANDB_SERVICE WANDB_SWEEP_ID
"""
OF_THE_USER = """
PATH HOME PYTHONPATH PYTHONWARNINGS OMP_NUM_THREADS CUDA_VISIBLE_DEVICES NCCL_DEBUG NCCL_IB_DISABLE
NCCL_SOCKET_IFNAME GLOO_SOCKET_IFNAME WANDB_API_KEY WANDB_BASE_URL WANDB_ENTITY WANDB_CACHE_DIR
SLURM_JOB_ID TORCH_LOGS HTTPS_PROXY PRANK MASTER
"""


def test_what_names_another_process_or_run_is_left_out() -> None:
    assert inherited(dict.fromkeys(OF_OTHERS.split(), "7")) == loading({})


def test_what_the_user_decides_stays() -> None:
    given = dict.fromkeys(OF_THE_USER.split(), "7")
    assert inherited(given) == given | loading(given)


def test_what_libraries_read_when_they_are_loaded_is_the_users_where_set() -> None:
    assert loading({"PATH": "/bin"}) == SPIN | ALLOCATOR
    assert loading({"GOMP_SPINCOUNT": "7"}) == ALLOCATOR
    # One setting of the allocator alone may have been measured: ours beside it were not.
    assert loading({"MALLOC_ARENA_MAX": "2"}) == SPIN
    assert inherited({"MALLOC_TRIM_THRESHOLD_": "7"}) == SPIN | {"MALLOC_TRIM_THRESHOLD_": "7"}


def test_a_rank_of_one_host_knows_all_that_torchrun_would_say() -> None:
    assert one_host(1, 2)["RANK"] == one_host(1, 2)["LOCAL_RANK"] == "1"
    assert inherited(one_host(1, 2)) == loading({})


def test_sockets_have_short_paths_under_a_long_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * LONGEST_FOLDER)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    folder = inherited({"TMPDIR": str(long)})["TMPDIR"]
    assert len(folder) <= LONGEST_FOLDER
    with short_sockets():
        assert tempfile.gettempdir() == folder
    assert tempfile.gettempdir() == str(long)
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    assert inherited({"TMPDIR": "/tmp"})["TMPDIR"] == "/tmp"
