"""Tasks of lm-eval that need no network: its own definitions on files that are here."""

from __future__ import annotations

import json
from pathlib import Path

LAMBADA = """\
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
output_type: loglikelihood
test_split: test
doc_to_text: !function counted.before
doc_to_target: !function counted.word
metric_list:
  - {{metric: perplexity, aggregation: perplexity, higher_is_better: false}}
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
metadata: {{version: 1.0}}
"""
# Whole texts, whose detokeniser and counts come from the harness itself.
WIKITEXT = """\
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: !function counted.wikitext_detokenizer
process_results: !function counted.process_results
metric_list:
  - metric: word_perplexity
  - metric: byte_perplexity
  - metric: bits_per_byte
metadata: {{version: 2.0}}
"""
# LAMBADA's two are templates in the harness, which compiles one anew for every passage.
COUNTED = """\
from lm_eval.tasks.wikitext.preprocess_wikitext import process_results, wikitext_detokenizer

def before(doc):
    return " ".join(doc["text"].split(" ")[:-1])

def word(doc):
    return " " + doc["text"].split(" ")[-1]
"""
ANSWERS = """\
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
output_type: generate_until
test_split: test
doc_to_text: "{{{{text}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["the"], max_gen_toks: 6}}
metric_list:
  - {{metric: exact_match, aggregation: mean, higher_is_better: true}}
"""


def write_task(folder: Path, name: str, template: str, file: Path) -> None:
    """A task's YAML in a folder for --include."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yaml").write_text(template.format(name=name, file=file), encoding="utf-8")
    (folder / "counted.py").write_text(COUNTED, encoding="utf-8")


def write_page(path: Path, text: str) -> Path:
    """A text as one page of lm-eval's wikitext."""
    path.write_text(json.dumps({"page": text}) + "\n", encoding="utf-8")
    return path
