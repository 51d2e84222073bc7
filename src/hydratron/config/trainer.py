"""The options of one training run's length, batch, precision and intervals."""

from __future__ import annotations

from dataclasses import dataclass, field

from hydratron.config.option import option


@dataclass
class LossScaleConfig:
    """`trainer.loss_scale`: what losses are multiplied by in fp16; Megatron-LM's defaults."""

    initial: float = option(
        2.0**32, "of the first step in fp16; a resume in fp16 goes on with the checkpoint's",
        above=0, maximum=2.0**64,
    )  # fmt: skip
    window: int = option(1000, "steps in a row without an overflow that double it", minimum=1)
    hysteresis: int = option(
        2, "overflows from which on each halves it; counted anew when it doubles", minimum=1
    )
    minimum: float = option(1.0, "the smallest; an overflow there ends the job", above=0)
    max_skips: int = option(
        50, "skipped steps in a row after which one more ends the job", minimum=0
    )


@dataclass
class TrainerConfig:
    """`trainer=`: how long, how large a batch, how precise, how often it is measured."""

    max_steps: int = option(1000, "optimizer steps in total, a resumed run's included", minimum=1)
    max_epochs: int | None = option(
        None,
        "fine-tuning: times that the training examples are read, which sets max_steps to max_epochs"
        " x the whole batches of one; null: max_steps says",
        minimum=1,
    )
    global_batch_size: int = option(
        8, "sequences per optimizer step, all replicas", minimum=1, fixed=True
    )
    micro_batch_size: int | None = option(
        None,
        "sequences per forward pass of one replica; null: its whole share of the global batch",
        minimum=1,
        per_degree=True,
    )
    precision: str = option("fp32", "type of the computation", choices=("fp32", "bf16", "fp16"))
    loss_scale: LossScaleConfig = field(default_factory=LossScaleConfig)
    matmul_precision: str = option(
        "highest",
        "torch.set_float32_matmul_precision; medium is 1.5x faster on AMD CPUs, still fp32 there",
        choices=("highest", "high", "medium"),
    )
    compile: bool = option(
        False,
        "torch.compile over the layers: worth its minutes in long runs in bf16; on CPUs it needs a "
        "C++ compiler",
    )
    accelerator: str = option(
        "auto",
        "auto: gpu where a host has one for each of its ranks, else cpu",
        choices=("auto", "cpu", "gpu"),
    )
    log_every_n_steps: int | None = option(
        None,
        "optimizer steps between rows of metrics.jsonl; null: about max_steps / 100, at most 100",
        minimum=1, bookkeeping=True, distinct=True,
    )  # fmt: skip
    val_every_n_steps: int | None = option(
        None, "optimizer steps between validations; null: about max_steps / 20, at most 1000",
        minimum=1, bookkeeping=True, distinct=True,
    )  # fmt: skip
    val_samples: int | None = option(
        64,
        "sequences of the validation split that are scored; null, and what a fine-tuning takes "
        "unless it is named: all",
        minimum=1,
    )
    timeout_seconds: float = option(300.0, "a collective that takes longer ends the job", above=0)
    peak_flops: float | None = option(
        None,
        "FLOP/s of one rank that count as 100 % MFU; null: known GPU, else measured GEMM",
        above=0,
    )
