"""Whether a configuration can run: bounds of single options, and the rules between options."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from hydratron.config.data_rules import RULES as DATA_RULES
from hydratron.config.data_rules import Rule
from hydratron.config.degrees import OPTIONS as DEGREES
from hydratron.config.init_from import init_problems
from hydratron.config.keys import describe, listed, options, value_of
from hydratron.config.labelled import labelled_problems
from hydratron.config.resume import config_file, fixed_problems
from hydratron.config.schema import Config
from hydratron.config.spmd import KEYS as SPMD
from hydratron.config.spmd import spmd_problems
from hydratron.errors import ConfigError, Problem
from hydratron.job import VALID_NAME, checkpoint_step, named_checkpoint

LARGEST_LOCAL_WORLD = 64


def validate(config: Config) -> None:
    """Raise ConfigError with every problem of the configuration."""
    if found := problems(config):
        raise ConfigError(found)


def problems(config: Config, refused: Collection[str] = ()) -> list[Problem]:
    """Options out of bounds, then every rule whose own options are within theirs.

    `refused` are options whose typed value was no value at all: rules over them are left out.
    """
    found = []
    for key, option in options().items():
        problem = bound_problem(key, value_of(config, key), option.bounds)
        if problem is not None:
            found.append(problem)
    wrong = {problem.key for problem in found}.union(refused)
    for keys, rule in RULES:
        if not wrong.intersection(keys):
            found.extend(rule(config))
    return found


def bound_problem(key: str, value: Any, bounds: Mapping[str, Any]) -> Problem | None:
    """What a single value breaks of its declared bounds; None is always within them."""
    # Such a name of a file would be written to config.yaml, and not come back from it.
    if not all(map(_is_utf8, value if isinstance(value, list) else [value])):
        return Problem(key, value, "has bytes that are not UTF-8; rename it, or link to it")
    choices = bounds.get("choices")
    if choices and value is not None and value not in choices:
        return Problem(key, value, f"choices: {listed(choices)}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not math.isfinite(value):
        return Problem(key, value, f"{describe(float)} is expected")
    low, above, high = (bounds.get(name) for name in ("minimum", "above", "maximum"))
    if (
        (low is not None and value < low)
        or (above is not None and value <= above)
        or (high is not None and value > high)
    ):
        parts = [f"at least {low}"] * (low is not None) + [f"above {above}"] * (above is not None)
        parts += [f"at most {high}"] * (high is not None)
        return Problem(key, value, f"must be {' and '.join(parts)}")
    return None


def _is_utf8(value: Any) -> bool:
    return not isinstance(value, str) or value.encode(errors="replace").decode() == value


def divisors(number: int) -> list[int]:
    """Every divisor, ascending."""
    small = [n for n in range(1, math.isqrt(number) + 1) if number % n == 0]
    return small + [number // n for n in reversed(small) if n * n != number]


def _name(config: Config) -> Iterator[Problem]:
    if not VALID_NAME.fullmatch(config.model.name):
        yield Problem("model.name", config.model.name, "letters, digits, _ . - only")


def _task(config: Config) -> Iterator[Problem]:
    needed = config.learning.architecture
    # What is wrong with weights is theirs to tell.
    if config.init_from is None and needed != config.model.architecture:
        expected = f"learns with model.architecture={needed}, not {config.model.architecture}"
        yield Problem("task", config.task, expected)


def _heads(config: Config) -> Iterator[Problem]:
    hidden, heads = config.model.hidden_size, config.model.num_attention_heads
    if hidden % heads:
        valid = listed(divisors(hidden))
        expected = f"does not divide model.hidden_size {hidden}; valid: {valid}"
        yield Problem("model.num_attention_heads", heads, expected)


def _recompute(config: Config) -> Iterator[Problem]:
    model, kind = config.model, config.plan.attention or config.model.attention
    if model.recompute == "attention" and kind != "manual":
        expected = f"saves nothing with model.attention={kind}, which keeps no scores; mlp or layer"
        if kind == "auto":
            expected = "is for scores that are kept: model.attention=manual; or mlp or layer"
        yield Problem("model.recompute", model.recompute, expected)


def _tensor_parallel(config: Config) -> Iterator[Problem]:
    model, tp = config.model, config.parallel.tensor_model_parallel_size
    ffn = model.ffn_hidden_size or 4 * model.hidden_size
    sizes = {
        "model.num_attention_heads": model.num_attention_heads,
        "model.ffn_hidden_size": ffn,
        "model.vocab_multiple": model.vocab_multiple,
    }
    failing = [f"{key} {size} (remainder {size % tp})" for key, size in sizes.items() if size % tp]
    if failing:
        valid = listed(divisors(math.gcd(*sizes.values())))
        expected = f"does not divide {' and '.join(failing)}; valid: {valid}"
        yield Problem("parallel.tensor_model_parallel_size", tp, expected)


def _sequence_parallel(config: Config) -> Iterator[Problem]:
    length, tp = config.model.seq_length, config.parallel.tensor_model_parallel_size
    if config.parallel.sequence_parallel and length % tp:
        valid = listed(size for size in (length // tp * tp, (length // tp + 1) * tp) if size)
        expected = (
            f"not divisible by parallel.tensor_model_parallel_size {tp} (remainder {length % tp}), "
            f"as parallel.sequence_parallel needs; nearest valid: {valid}"
        )
        yield Problem("model.seq_length", length, expected)


def _pipelines(config: Config) -> Iterator[Problem]:
    layers, pp = config.model.num_layers, config.parallel.pipeline_model_parallel_size
    if layers % pp:
        expected = f"does not divide model.num_layers {layers} (remainder {layers % pp})"
        valid = listed(divisors(layers))
        yield Problem("parallel.pipeline_model_parallel_size", pp, f"{expected}; valid: {valid}")
    if pp > 1 and config.learning.examples:
        expected = f"its micro-batches differ in length, which {pp} stages do not take"
        yield Problem("task", config.task, f"{expected}; parallel.pipeline_model_parallel_size=1")


def _one_forward_one_backward(config: Config) -> Iterator[Problem]:
    parallel, total = config.parallel, config.trainer.global_batch_size
    pp, dp = parallel.pipeline_model_parallel_size, parallel.data_parallel_size
    if parallel.pipeline_schedule != "1f1b" or total < dp or config.accumulation >= pp:
        return
    sizes = [size for size in divisors(total // dp) if total // (dp * size) >= pp]
    other = f", or trainer.micro_batch_size {listed(sizes)}" if sizes else ""
    expected = f"needs {pp} micro-batches for {pp} stages, and a step has {config.accumulation}"
    yield Problem("parallel.pipeline_schedule", "1f1b", f"{expected}; gpipe{other}")


def _batch(config: Config) -> Iterator[Problem]:
    total, micro = config.trainer.global_batch_size, config.trainer.micro_batch_size
    dp = config.parallel.data_parallel_size
    if total % dp:
        below, above = total // dp * dp, (total // dp + 1) * dp
        valid = listed(size for size in (below, above) if size)
        yield Problem(
            "trainer.global_batch_size",
            total,
            f"not divisible by parallel.data_parallel_size {dp} (remainder {total % dp}); "
            f"nearest valid: {valid}",
        )
    elif micro and total % (micro * dp):
        yield Problem(
            "trainer.global_batch_size",
            total,
            f"not divisible by trainer.micro_batch_size {micro} x parallel.data_parallel_size {dp}"
            f" = {micro * dp} (remainder {total % (micro * dp)}); "
            f"valid trainer.micro_batch_size: {listed(divisors(total // dp))}",
        )


def _validation(config: Config) -> Iterator[Problem]:
    samples, dp = config.trainer.val_samples, config.parallel.data_parallel_size
    if samples is not None and samples < dp:
        expected = f"at least parallel.data_parallel_size {dp}: every replica scores its share"
        yield Problem("trainer.val_samples", samples, expected)


def _schedule(config: Config) -> Iterator[Problem]:
    schedule = config.schedule
    end = schedule.decay_steps or config.trainer.max_steps
    name = "schedule.decay_steps" if schedule.decay_steps else "trainer.max_steps"
    if schedule.warmup_steps >= end:
        yield Problem("schedule.warmup_steps", schedule.warmup_steps, f"must be below {name} {end}")


def _loss_scale(config: Config) -> Iterator[Problem]:
    options = config.trainer.loss_scale
    if options.minimum > options.initial:
        expected = f"must be at most trainer.loss_scale.initial {options.initial:g}"
        yield Problem("trainer.loss_scale.minimum", options.minimum, expected)


def _rates(config: Config) -> Iterator[Problem]:
    if config.schedule.min_lr > config.optim.lr:
        expected = f"must be at most optim.lr {config.optim.lr}"
        yield Problem("schedule.min_lr", config.schedule.min_lr, expected)


def _resume(config: Config) -> Iterator[Problem]:
    if config.resume is None:
        return
    path = Path(config.resume)
    if not path.is_dir():
        yield Problem("resume", config.resume, "no such job folder or checkpoint folder")
    elif named_checkpoint(path) is None:
        expected = "a job folder with checkpoints/step_*, or one of those; it holds none"
        yield Problem("resume", config.resume, expected)
    elif not config_file(path).exists():
        yield Problem("resume", config.resume, "there is no config.yaml in its job folder")
    else:
        yield from fixed_problems(config)


def _further(config: Config) -> Iterator[Problem]:
    start = named_checkpoint(Path(config.resume)) if config.resume is not None else None
    steps = config.trainer.max_steps
    if config.trainer.max_epochs is not None:
        return  # `sized` says it, once the examples are counted.
    if start is not None and steps <= (step := checkpoint_step(start)):
        expected = f"above {step}, the step of the checkpoint that resume= names"
        yield Problem("trainer.max_steps", steps, expected)


def _launch(config: Config) -> Iterator[Problem]:
    launch, world = config.launch, config.parallel.world_size
    sizes = f"tp {config.parallel.tensor_model_parallel_size} x"
    sizes += f" dp {config.parallel.data_parallel_size}"
    if (stages := config.parallel.pipeline_model_parallel_size) > 1:
        sizes += f" x pp {stages}"
    sizes += f" = {world}"
    if launch.kind == "local":
        if launch.nodes != 1:
            yield Problem("launch.nodes", launch.nodes, "launch=local is one host; launch=torchrun")
        if world > LARGEST_LOCAL_WORLD:
            expected = f"at most {LARGEST_LOCAL_WORLD} processes on one host, {sizes} are asked for"
            yield Problem("launch.kind", launch.kind, f"{expected}; use launch=torchrun")
        return
    if world % launch.nodes:
        expected = f"does not divide the processes, {sizes}; valid: {listed(divisors(world))}"
        yield Problem("launch.nodes", launch.nodes, expected)
    if launch.node_rank >= launch.nodes:
        expected = f"must be below launch.nodes {launch.nodes}"
        yield Problem("launch.node_rank", launch.node_rank, expected)
    host, _, port = (launch.rendezvous or "").rpartition(":")
    if launch.rendezvous is not None and not (host and port.isdigit()):
        yield Problem("launch.rendezvous", launch.rendezvous, "HOST:PORT is expected")
    elif launch.rendezvous is None and launch.nodes > 1:
        expected = "HOST:PORT of the first host is needed with launch.nodes above 1"
        yield Problem("launch.rendezvous", "null", expected)


_SIZES = (
    "model.hidden_size",
    "model.num_attention_heads",
    "model.ffn_hidden_size",
    "model.vocab_multiple",
    "parallel.tensor_model_parallel_size",
)
_BATCH = (
    "trainer.global_batch_size",
    "trainer.micro_batch_size",
    "parallel.data_parallel_size",
)
_WORLD = tuple(f"parallel.{name}" for name in DEGREES.values())

# Each rule with the options it calculates with: a rule over a wrong option would only mislead.
RULES: tuple[tuple[tuple[str, ...], Rule], ...] = (
    *DATA_RULES,
    ((), _name),
    (("task", "model.architecture"), _task),
    (_SIZES, _heads),
    (("model.recompute", "model.attention", "plan.attention"), _recompute),
    (_SIZES, _tensor_parallel),
    (("model.seq_length", "parallel.tensor_model_parallel_size"), _sequence_parallel),
    (("model.num_layers", "task", *_WORLD), _pipelines),
    (SPMD, spmd_problems),
    (_BATCH, _batch),
    ((*_BATCH, "parallel.pipeline_schedule", *_WORLD), _one_forward_one_backward),
    (("trainer.val_samples", "parallel.data_parallel_size"), _validation),
    (("schedule.warmup_steps", "schedule.decay_steps", "trainer.max_steps"), _schedule),
    (("trainer.loss_scale.minimum", "trainer.loss_scale.initial"), _loss_scale),
    (("schedule.min_lr", "optim.lr"), _rates),
    (("task", "data.source", "trainer.max_epochs", "trainer.val_samples"), labelled_problems),
    ((), _resume),
    ((), init_problems),
    (("trainer.max_steps",), _further),
    (("launch.kind", "launch.nodes", "launch.node_rank", *_WORLD), _launch),
)
