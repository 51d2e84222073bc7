"""Tables as rows of cells: the page sorts and filters them, the terminal prints their texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Column:
    """A title, and whether its cells are numbers; `html` is the title on the page."""

    title: str
    number: bool = False
    html: str = ""


@dataclass(frozen=True)
class Cell:
    """A text; `value` is what it is sorted by, `kind` its CSS class, `before` HTML before it.

    `runs` are the places of the runs of which the page tells the tokens to a loss.
    """

    text: str
    value: float | None = None
    kind: str = ""
    before: str = ""
    runs: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Grid:
    """Columns, and rows of as many cells."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]

    def html(self) -> str:
        """The table in a box that scrolls where it is wider than the page."""
        head = "".join(map(_head, self.columns))
        body = "".join(f"<tr>{''.join(map(_cell, self.columns, row))}</tr>" for row in self.rows)
        return (
            '<div class="scroll" tabindex="0">'
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )


def _head(column: Column) -> str:
    kind = ' class="number"' if column.number else ""
    title = column.html or escape(column.title)
    return f'<th scope="col"{kind}><button type="button">{title}</button></th>'


def _cell(column: Column, cell: Cell) -> str:
    kinds = " ".join(filter(None, ["number" if column.number else "", cell.kind]))
    attributes = f' class="{kinds}"' if kinds else ""
    if cell.value is not None:
        attributes += f' data-value="{cell.value!r}"'
    if cell.runs is not None:
        attributes += f' data-runs="{" ".join(map(str, cell.runs))}"'
    return f"<td{attributes}>{cell.before}{escape(cell.text)}</td>"
