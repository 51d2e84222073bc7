"""What the options declare of themselves for resumes, reports and labels."""

from __future__ import annotations

from hydratron.config.keys import carries, marked, options


def test_a_resume_may_not_change_what_a_checkpoint_depends_on() -> None:
    shape = ("architecture", "num_layers", "hidden_size", "num_attention_heads", "ffn_hidden_size")
    more = ("seq_length", "vocab_multiple", "gelu", "layernorm.placement", "layernorm.norm")
    assert {*(f"model.{name}" for name in (*shape, *more)), "data.source"} <= {*marked("fixed")}
    assert not {"optim.lr", "seed", "trainer.max_steps", "model.dropout"} & {*marked("fixed")}


def test_bookkeeping_is_declared_for_whole_sections_and_single_options() -> None:
    found = marked("bookkeeping")
    for section in ("logger.", "launch.", "checkpoint."):
        assert {key for key in options() if key.startswith(section)} <= {*found}
    single = {key for key in found if key.split(".")[0] not in ("logger", "launch", "checkpoint")}
    intervals = {"trainer.log_every_n_steps", "trainer.val_every_n_steps"}
    files = {"data.cache_dir", "data.prepared", "init_checkpoint", "resume"}
    assert single == {*files, "parallel.transport", *intervals}
    distinct = {key for key in marked("distinct") if not key.startswith("checkpoint.")}
    assert distinct == {"resume", *intervals}


def test_the_degree_is_its_axes_and_what_goes_with_them() -> None:
    assert marked("axis") == {
        "parallel.tensor_model_parallel_size": "tp",
        "parallel.data_parallel_size": "dp",
        "parallel.pipeline_model_parallel_size": "pp",
    }
    ways = ["pipeline_schedule", "sequence_parallel", "distributed_optimizer", "backend"]
    options = [f"parallel.{way}" for way in ways]
    assert [*marked("per_degree")] == [*options, "trainer.micro_batch_size"]


def test_an_option_of_an_old_file_is_as_its_section() -> None:
    assert carries("logger.gone", "bookkeeping")
    assert not carries("model.gone", "fixed")
    assert not carries("gone", "bookkeeping")
    assert not carries("gone.too", "bookkeeping")
