"""The table of means over seeds as HTML: what a configuration is worth, with its interval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape

from hydratron.reporting.crossing import default_target, tokens_to_loss
from hydratron.reporting.differences import SEED, short_columns
from hydratron.reporting.estimate import estimate
from hydratron.reporting.formats import MISSING, count, loss
from hydratron.reporting.metrics import POSITION, RANKED, rank
from hydratron.reporting.records import Run
from hydratron.reporting.seeds import Seeds, interval
from hydratron.reporting.tables import outcomes


def seed_table(runs: Sequence[Run], groups: Sequence[Seeds]) -> str:
    """One row per group, the lowest mean validation loss first; empty without groups."""
    if not groups:
        return ""
    target = default_target(runs)
    ordered = sorted(groups, key=_rank)
    columns = {"model": [g.runs[0].model for g in ordered]}
    columns |= short_columns([g.runs[0] for g in ordered], SEED)
    titles = [f"<th>{escape(title)}</th>" for title in columns]
    final = [metric for metric in outcomes(runs) if metric.name not in POSITION]
    names = ("n", *(metric.column.replace("\n", " ") for metric in final))
    titles += [f'<th class="number">{escape(name)}</th>' for name in names]
    if target is not None:
        titles.append(f'<th class="number">tokens to\nloss {loss(target)}</th>')
    body = ""
    for index, group in enumerate(ordered):
        cells = [f"<td>{escape(values[index])}</td>" for values in columns.values()]
        texts = [_seeds(group)]
        texts += [interval(group.estimate(m.name), m.format.text) for m in final]
        if target is not None:
            texts.append(_reached(group, target))
        cells += [f'<td class="number">{escape(text)}</td>' for text in texts]
        cells.append(f"<td>{escape(_states(group))}</td>")
        body += f"<tr>{''.join(cells)}</tr>"
    head = f"<thead><tr>{''.join(titles)}<th>status</th></tr></thead>"
    return (
        '<section id="means"><h2>Means over seeds, with 95 % intervals</h2>'
        f'<div class="scroll" tabindex="0"><table>{head}<tbody>{body}</tbody></table></div>'
        '<p class="note">Final values of the completed runs; the interval is Student\'s t over '
        "the n seeds.</p></section>"
    )


def _rank(group: Seeds) -> tuple[float, str]:
    return (rank(group.estimate(RANKED).value), group.label)


def _seeds(group: Seeds) -> str:
    """How many seeds the means stand for, and of how many where some did not complete."""
    n = group.estimate(RANKED).n
    return str(n) if n == len(group.runs) else f"{n} of {len(group.runs)}"


def _reached(group: Seeds, target: float) -> str:
    """The mean over the seeds that reached the target, and how many did where not all."""
    ended = [run for run in group.runs if run.status == "completed"]
    found = [t for run in ended if (t := tokens_to_loss(run, target)) is not None]
    if not ended:
        return MISSING
    if not found:
        return "not reached"
    text = interval(estimate(found), count)
    return text if len(found) == len(ended) else f"{text} ({len(found)} of {len(ended)})"


def _states(group: Seeds) -> str:
    states = Counter(run.status for run in group.runs)
    return ", ".join(f"{n} {state}" for state, n in states.items())
