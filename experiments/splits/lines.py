"""`python experiments/splits/lines.py`: the lines of code of each way to split, in this repository.

A line counts where a token of code begins or ends on it: no comments, docstrings, blank lines.
What all ways need, the mesh, the step, the table of parameters, is nobody's.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path

import hydratron

PACKAGE = Path(hydratron.__file__).parent
NO_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENCODING, tokenize.ENDMARKER,
}  # fmt: skip

# Files of the package; behind a colon the functions and classes of it that belong there.
WAYS = {
    "f and g": (
        "parallel/mappings.py:copy_to_tensor_model_parallel_region,"
        "reduce_from_tensor_model_parallel_region,_all_reduced,_Copy,_Reduce",
        "parallel/regions.py:TensorParallelRegion",
    ),
    "tensor parallelism": (
        "parallel/mappings.py", "parallel/regions.py", "parallel/layers.py",
        "parallel/cross_entropy.py",
    ),
    "sequence parallelism": ("parallel/sequence.py", "parallel/sharding.py:ParamTable.in_sequence"),
    "data parallelism": ("parallel/gradients.py:reduce_gradients,sum_gradients,_buckets",),
    "ZeRO-1": ("parallel/distributed_optimizer.py",),
    "pipeline": (
        "parallel/pipeline.py", "training/stages.py", "parallel/mesh.py:_ends",
        "parallel/sharding.py:ParamTable.in_stages,stage_layers",
        "models/language.py:LanguageModel.receiving",
    ),
    "dtensor": ("parallel/spmd.py", "training/spmd.py"),
}  # fmt: skip


def code_lines(text: str, names: Sequence[str] = ()) -> int:
    """How many lines of a module hold code; of the functions and classes `names` alone, if any.

    A method is `Class.method`.  Raises ValueError for a name that the module does not have.
    """
    tree = ast.parse(text)
    chosen = [_find(tree, name) for name in names]
    docstrings = {line for node in ast.walk(tree) for line in _docstring(node)}
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NO_CODE:
            found.update(range(token.start[0], token.end[0] + 1))
    found -= docstrings
    if chosen:
        inside = {line for node in chosen for line in _lines(node)}
        found &= inside
    return len(found)


def count(places: Sequence[str]) -> int:
    """The lines of `file` and `file:name,name` of the package together."""
    total = 0
    for place in places:
        file, _, names = place.partition(":")
        text = (PACKAGE / file).read_text(encoding="utf-8")
        total += code_lines(text, names.split(",") if names else ())
    return total


def counted() -> dict[str, int]:
    """The lines of every way."""
    return {way: count(places) for way, places in WAYS.items()}


def _find(tree: ast.Module, name: str) -> ast.AST:
    node: ast.AST = tree
    for part in name.split("."):
        kinds = (ast.FunctionDef, ast.ClassDef)
        inside = [n for n in getattr(node, "body", []) if isinstance(n, kinds) and n.name == part]
        if not inside:
            raise ValueError(f"{name}: no such function or class")
        node = inside[0]
    return node


def _lines(node: ast.AST) -> range:
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
    return range(first, (node.end_lineno or first) + 1)


def _docstring(node: ast.AST) -> Iterator[int]:
    """The lines of its docstring, or of a string that stands as one under a name."""
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Constant):
        return
    if isinstance(node.value.value, str):
        yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)


def main() -> None:
    for way, places in WAYS.items():
        print(f"{count(places):5d}  {way}")
        for place in places:
            file, _, names = place.partition(":")
            print(f"       {count([place]):5d}  {file}" + f": {names}" * bool(names))


if __name__ == "__main__":
    main()
