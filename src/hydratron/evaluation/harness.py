"""The maintained harness, lm-eval: its tasks found, their data loaded, their requests counted.

It is an optional extra, and is imported only when it is asked for.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, NoReturn

from hydratron.errors import DataError, HydratronError, Problem
from hydratron.hashing import json_sha256

EXTRA = "pip install 'hydratron[harness]'"
OPTION = "--harness"
# What the harness itself seeds its few-shot examples by.
SEED = 1234


@dataclass(frozen=True)
class Asked:
    """Names of tasks or groups; `include` has tasks of the user's; `limit` is documents of each."""

    tasks: Sequence[str]
    include: Path | None = None
    limit: int | None = None


@dataclass(frozen=True)
class HarnessTask:
    """A task or a group of them.

    `requests` are all that is asked of a model, `documents` what they are made of; `sha256` is of
    the requests' texts, which have everything in them: data, prompt, examples.
    """

    name: str
    requests: int
    documents: int
    sha256: str
    versions: Mapping[str, Any]
    own: bool


def library() -> str:
    """Its version; HydratronError where it is not installed."""
    try:
        import_module("lm_eval.tasks")
    except ImportError:
        raise HydratronError(f"{OPTION}: needs lm-eval, which is not installed: {EXTRA}") from None
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    return metadata.version("lm_eval")


def manager(asked: Asked) -> Any:
    """The harness's TaskManager that knows these tasks.  DataError for a name that it does not."""
    library()
    if asked.include is not None and not asked.include.is_dir():
        raise DataError([Problem("--include", asked.include, "no such folder")])
    make = import_module("lm_eval.tasks").TaskManager
    path = None if asked.include is None else str(asked.include)
    found = None
    try:
        if path is not None:  # The thousands that come with it take seconds to list.
            found = make(include_path=path, include_defaults=False)
        if found is None or {*asked.tasks} - {*found.all_tasks}:
            found = make(include_path=path)
    except Exception as error:  # A broken YAML raises whatever its parser does.
        raise DataError([Problem("--include", path, _line(error))]) from error
    for name in asked.tasks:
        if name not in found.all_tasks:
            nearest = difflib.get_close_matches(name, found.all_tasks, n=1, cutoff=0.0)
            _refuse(name, f"no such task; nearest: {', '.join(nearest) or 'none'}")
    return found


def opened(asked: Asked) -> list[HarnessTask]:
    """The tasks, with their data at hand.  DataError where one cannot be loaded, in one line."""
    tasks, opened_tasks = manager(asked), []
    for name in asked.tasks:
        try:
            with _quiet():
                leaves = tasks.load([name])["tasks"]
                for leaf in leaves.values():
                    if leaf.get_config("num_fewshot") is None:
                        leaf.set_config(key="num_fewshot", value=0)
                    leaf.set_fewshot_seed(seed=SEED)
                    leaf.build_all_requests(limit=asked.limit)
        except Exception as error:  # Its own, its data library's, the network's.
            _refuse(name, f"cannot be loaded: {_line(error)}")
        texts, documents = [], set()
        for leaf_name in sorted(leaves):
            for each in leaves[leaf_name].instances:
                texts.append([leaf_name, each.request_type, each.args])
                documents.add((leaf_name, each.doc_id))
        if not texts:
            _refuse(name, "asks nothing of a model")
        opened_tasks.append(
            HarnessTask(
                name=name,
                requests=len(texts),
                documents=len(documents),
                sha256=json_sha256(json.loads(json.dumps(texts, default=str))),
                versions={n: _version(leaf) for n, leaf in sorted(leaves.items())},
                own=_own(tasks, name, asked.include),
            )
        )
    return opened_tasks


def evaluated(asked: Asked, model: Any) -> dict[str, dict[str, float]]:
    """The metrics of every task, and of the tasks in every group, by `model`, an LM of lm-eval's.

    Without error bars, which the harness draws a hundred thousand times.
    """
    found = import_module("lm_eval.evaluator").simple_evaluate(
        model=model,
        tasks=[*asked.tasks],
        task_manager=manager(asked),
        limit=asked.limit,
        bootstrap_iters=0,
        log_samples=False,
    )
    everything = {**found["results"], **found.get("groups", {})}
    return {name: _numbers(metrics) for name, metrics in everything.items()}


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """`acc,none` -> `acc`; `exact_match,strict` -> `exact_match_strict`; no error bars."""
    found = {}
    for key, value in metrics.items():
        name, _, kind = key.partition(",")
        if kind and not name.endswith("_stderr") and isinstance(value, int | float):
            found[name if kind == "none" else f"{name}_{kind}"] = float(value)
    return found


def _version(task: Any) -> Any:
    return (task.get_config("metadata") or {}).get("version")


def _own(tasks: Any, name: str, include: Path | None) -> bool:
    """Whether the task is of the user's folder."""
    if include is None:
        return False
    place = tasks.task_index[name].yaml_path
    return place is not None and Path(place).resolve().is_relative_to(include.resolve())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the bars of two libraries; what goes wrong is raised."""
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        yield


def _line(error: BaseException) -> str:
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}"[:300]


def _refuse(name: str, expected: str) -> NoReturn:
    raise DataError([Problem(OPTION, name, expected)]) from None
