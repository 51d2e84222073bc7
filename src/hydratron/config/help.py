"""The texts of `hydratron train --help` and `plan --help`, made from `conf/` and the schema."""

from __future__ import annotations

import textwrap
from collections.abc import Collection

from hydratron.config import folders
from hydratron.config.keys import listed, options, value_of
from hydratron.config.plan import default_choices, defaults
from hydratron.config.planning import SECTIONS

WIDTH = 100
INTRO = """\
usage: hydratron train [-m] [FLAG]... [GROUP=CHOICE | KEY=VALUE]...

Trains one job, or with -m one job for every combination of values: 1,2 range(1,9) glob(gpt_*)
choice() sort() shuffle() as in Hydra. Each job gets a folder under outputs/; the sweep ends in
dashboard.html and summary.csv. A sweep into the same folder (hydra.sweep.dir=...) skips the jobs
that are completed there, whatever their order, and goes on with the unfinished ones.

  -m, --multirun        run every combination: model=gpt_pico,gpt_nano seed=1,2,3
  --prepare-only        build the tokens and sample orders of all jobs, print their folders and stop
{FLAGS}
Examples:
  hydratron train model=gpt_pico trainer.max_steps=100
  hydratron train -m model=gpt_pico,gpt_nano parallel=single,tp2 layernorm=pre,post
  hydratron train experiment=demo
  hydratron train data=text data.path=books/ tokenizer.vocab_size=4096
  hydratron train resume=outputs/demo/000_gpt_pico-single-pre-s1234 trainer.max_steps=800
  hydratron train init_from=some-encoder/ data=text data.path=books/ parallel=tp2
  hydratron train task=sst2 init_from=some-encoder/ data.path=SST-2/ trainer.max_epochs=1
  hydratron train hydra.run.dir=outputs/mine seed=7

Groups and their choices (* is the default):
"""
PLAN_INTRO = """\
usage: hydratron plan [-m] [FLAG]... [GROUP=CHOICE | KEY=VALUE]...

Runs a training step of rank 0 of a job on tensors without data, in a world of any size, and says
what they send, compute and hold, which GPUs have room for it, and how long a step takes on a
cluster. Needs no GPU and no data. Writes plan.json into the job's folder; the same command into the
same folder (hydra.sweep.dir=...) skips finished plans.

  -m, --multirun        plan every combination: parallel=tp2,tp4,tp8; ends in a table of them
{FLAGS}
Examples:
  hydratron plan model=gpt2_8.3b parallel=tp8_dp64
  hydratron plan model=gpt2_8.3b parallel=tp8_dp64 full=true
  hydratron plan model=gpt2_2.5b parallel=tp2 cluster=dgx2h_v100 trainer.micro_batch_size=4
  hydratron plan model=gpt2_8.3b parallel=tp8 plan.numerics=paper_fp16 plan.attention=manual
  hydratron plan -m model=gpt2_8.3b parallel=tp4,tp8 model.recompute=none,layer

Where the command does not say: trainer=paper (512 sequences a step, 8 at a time, bf16), cluster=
hgx_h100, and the vocabulary of GPT-2 or BERT. Data, tokenizer and logger do not matter.

Groups and their choices (* is the default of `hydratron train`):
"""
FLAGS = """\
  --config-dir DIR      look for configs of your own in DIR/model/, DIR/experiment/, ... as well
  --cfg job|hydra|all   print the configuration instead of running it; with --resolve, and with
                        --package SECTION a section of it
  --info [WHAT]         print what Hydra knows: all, config, defaults, defaults-tree, plugins,
                        searchpath
  -h, --help            this text
"""
KEYS = "\nKeys, their defaults and meanings:\n"
HYDRA = """
Of Hydra itself:
  hydra.run.dir=FOLDER      the job folder of a single run
  hydra.sweep.dir=FOLDER    the folder of a sweep
  hydra/launcher= hydra/sweeper= and any other hydra key work as in Hydra
Tab completion: eval "$(hydratron completion bash)"
"""


def train_help() -> str:
    """Usage, groups with their choices, and every key with its default and meaning."""
    return _help(INTRO.replace("{FLAGS}", FLAGS), without=SECTIONS)


def plan_help() -> str:
    """The same for the planner."""
    return _help(PLAN_INTRO.replace("{FLAGS}", FLAGS))


def _help(intro: str, without: Collection[str] = ()) -> str:
    chosen = default_choices()
    lines = [intro]
    for group, choices in folders.groups([folders.conf_dir()]).items():
        if group in without:
            continue
        marked = [f"{choice}*" if chosen.get(group) == choice else choice for choice in choices]
        lines.append(_entry(f"{group}=", listed(marked), 16))
    lines.append(KEYS)
    config = defaults()
    for key, option in options().items():
        if key.partition(".")[0] in without:
            continue
        value = value_of(config, key)
        shown = "null" if value is None else str(value).lower() if option.kind is bool else value
        allowed = option.bounds.get("choices", ())
        # Many are told apart by commas, between which a line may break.
        between = "|" if sum(map(len, allowed)) < 40 else ", "
        meaning = f"{option.meaning} ({between.join(allowed)})" if allowed else option.meaning
        lines.append(_entry(f"{key}={shown}", meaning, 44))
    return "".join([*lines, HYDRA])


def _entry(left: str, right: str, column: int) -> str:
    """`left` padded to a column, `right` wrapped beside it."""
    indent = " " * column
    head = f"  {left}"
    first = head.ljust(column) if len(head) < column else f"{head}\n{indent}"
    rows = textwrap.wrap(right, WIDTH - column, break_long_words=False, break_on_hyphens=False)
    return first + f"\n{indent}".join(rows) + "\n"
