"""Which columns a model uses, and what it makes of their values."""

from collections.abc import Hashable
from typing import Any

import numpy as np

from .blocks import Block, Cell, Grid, Heading, Notes, Picture, Row, Text
from .figures import bars, bars_with_errors, curves_of_values, dots_of_levels
from .importance import Dependence, Importances, Slopes, dependences, importances, slopes
from .quality import loss_of
from .rows import Part, Subject
from .texts import count, number, quoted, shown

_MOST_BARS = 15
_MOST_IN_TABLE = 60
_MOST_DEPENDENCES = 6
_MOST_LINES = 4


def column_blocks(subject: Subject, part: Part) -> list[Block]:
    """Show permutation importances, and the partial dependence of the first columns."""
    loss, called = loss_of(part)
    found = importances(part.model, subject.X, part.y, loss)
    steep = slopes(part.model, subject.X, _middle(part))
    blocks: list[Block] = [
        Text(
            f"Each column is shuffled among {count(found.n_rows, 'row')}, {found.n_repeats} times, "
            f"and the model is measured again: the more its {called} grows, the more the model "
            "relies on that column. Columns that tell the same share their importance, and a "
            "column that matters to the model need not be a cause."
        ),
        *([Text(_about_slopes(part, steep))] if steep else []),
        *_bars(part, found, called, steep),
    ]
    if found.n_left_out:
        blocks.append(
            Notes([f"{count(found.n_left_out, 'further column')} of the table "
                   f"{'was' if found.n_left_out == 1 else 'were'} not measured."])
        )  # fmt: skip
    matters = [n for n, mean in zip(found.names, found.means, strict=True) if mean > 0]
    shown_ones = dependences(part.model, subject.X, matters or found.names[:1], _MOST_DEPENDENCES)
    if shown_ones:
        blocks += [
            Heading("What single columns do"),
            Text(
                f"The mean of {_what(part)} where a column has one value in all of some rows, and "
                "the other columns stay as they are (partial dependence). Values that do not go "
                "together with the other columns are computed all the same. Short marks at the "
                "bottom are the values that were tried."
            ),
            Row([_dependence(part, one) for one in shown_ones]),
        ]
    return blocks


def _middle(part: Part) -> int | None:
    """Return the number of the quantile in the middle, where several are predicted."""
    return len(part.levels) // 2 if len(part.levels) > 1 else None


def _about_slopes(part: Part, found: Slopes) -> str:
    """Say what slopes are, and of which prediction."""
    if part.classes:
        what = "the probability of the predicted class"
    elif (middle := _middle(part)) is not None:
        what = f"the quantile {part.levels[middle]:g}"
    else:
        what = "the prediction"
    return (
        f"Slopes say how much {what} changes with a numeric column, near the rows as they are: the "
        f"mean of the absolute gradient over {count(found.n_rows, 'row')}, times the standard "
        "deviation of the column. Shuffling tells what a column is worth, and a slope what a small "
        "change of it does; text and dates have none."
    )


def _bars(part: Part, found: Importances, called: str, steep: Slopes | None) -> list[Block]:
    shown_ones = slice(0, _MOST_BARS)
    names = [str(name) for name in found.names]
    drawing = bars_with_errors(
        names[shown_ones], found.means[shown_ones], found.deviations[shown_ones],
        f"growth of the {called}",
    )  # fmt: skip
    first = ", ".join(
        f"{shown(name, 30)} {number(mean)}"
        for name, mean in zip(names[:3], found.means[:3], strict=False)
    )
    pictures = [
        drawing.picture(
            "Importance of the columns",
            "Whiskers are the standard deviation over the shuffles.",
            f"Bars of importances; the largest are {first}",
        )
    ]
    if steep is not None:
        pictures.append(_slopes(part, steep))
    blocks: list[Block] = [Row(pictures)]
    if len(names) > _MOST_BARS:
        rows = [
            [
                Cell(shown(names[i], 40), is_header=True),
                Cell(number(found.means[i]), key=float(found.means[i])),
                Cell(number(found.deviations[i]), key=float(found.deviations[i])),
            ]
            for i in range(_MOST_BARS, min(len(names), _MOST_IN_TABLE))
        ]
        head = ["column", f"growth of the {called}", "standard deviation"]
        blocks.append(Grid("The columns that follow", head, rows, {1, 2}, can_sort=True))
    return blocks


def _slopes(part: Part, found: Slopes) -> Picture:
    """Draw the slopes of the steepest columns."""
    names, means = [str(name) for name in found.names[:_MOST_BARS]], found.means[:_MOST_BARS]
    what = "probability" if part.classes else "prediction"
    first = ", ".join(
        f"{shown(name, 30)} {number(mean)}" for name, mean in zip(names[:3], means, strict=False)
    )
    return bars(names, means, f"change of the {what}").picture(
        "Slopes of the numeric columns",
        "For a step of one standard deviation.",
        f"Bars of slopes; the largest are {first}",
    )


def _what(part: Part) -> str:
    if len(part.classes) == 2:
        return f"the probability of {quoted(part.classes[1], 30)}"
    if part.classes:
        return "the probability of each of the most frequent classes"
    return "the predicted quantiles" if part.levels else "the prediction"


def _dependence(part: Part, found: Dependence) -> Any:
    lines, of_lines = found.means, [""] * len(found.means)
    if len(part.classes) > 2:
        counts = np.bincount(part.y[part.y >= 0], minlength=len(part.classes))
        chosen = np.argsort(-counts, kind="stable")[:_MOST_LINES]
        lines, of_lines = lines[chosen], [part.classes[k] for k in chosen]
    elif len(part.levels) > 1:
        of_lines = [f"quantile {level:g}" for level in part.levels]
    y_label = "probability" if part.classes else "prediction"
    if found.labels:
        drawing = dots_of_levels(found.labels, lines, y_label, of_lines)
    else:
        drawing = curves_of_values(found.places, lines, y_label, of_lines, found.is_date)
    low, high = float(lines.min()), float(lines.max())
    return drawing.picture(
        shown(found.name, 40),
        "",
        f"Partial dependence on {_name(found.name)}: from {number(low)} to {number(high)}",
    )


def _name(name: Hashable) -> str:
    return f"the column {quoted(name, 40)}"
