"""How far the numbers of a regression, or its quantiles, are from the true ones."""

import numpy as np
from numpy.typing import NDArray

from .blocks import Block, Cell, Grid, Picture, Row
from .figures import Drawing, shares_on
from .quality import Evaluated
from .rows import sample
from .svg import INK, SERIES
from .texts import count, number, percent, shown

_MOST_POINTS = 800
_N_PARTS = 10
_MOST_WORST = 8


def error_blocks(evaluated: Evaluated, row_names: list[str]) -> list[Block]:
    """Draw predicted against true numbers and the errors, and list the largest of these."""
    part, levels = evaluated.part, evaluated.part.levels
    middle = _middle(levels)
    predicted = evaluated.said.columns[:, middle]
    called = "predicted" if not levels else f"predicted quantile {levels[middle]:g}"
    errors = predicted - part.y
    return [
        Row([_against(part.y, predicted, called), _errors(errors)]),
        _largest(part.y, predicted, row_names),
    ]


def calibration_blocks(evaluated: Evaluated) -> list[Block]:
    """Draw whether predictions are too high or too low somewhere, or what quantiles cover."""
    part = evaluated.part
    if part.levels:
        return [Row([_coverage(part.y, evaluated.said.columns, part.levels)])]
    predicted = evaluated.said.columns[:, 0]
    return [Row([_means(part.y, predicted), _errors_by_size(part.y, predicted)])]


def _middle(levels: tuple[float, ...]) -> int:
    return int(np.argmin(np.abs(np.asarray(levels) - 0.5))) if levels else 0


def _against(y: NDArray[np.float64], predicted: NDArray[np.float64], called: str) -> Picture:
    rows = sample(len(y), _MOST_POINTS)
    drawing = Drawing()
    drawing.ax.plot(
        predicted[rows], y[rows], "o", color=SERIES[0], markersize=3.2, alpha=0.55,
        markeredgewidth=0,
    )  # fmt: skip
    low, high = (float(f(np.r_[y[rows], predicted[rows]])) for f in (np.min, np.max))
    drawing.diagonal(low, high, "perfect")
    drawing.ax.set_xlabel(called)
    drawing.ax.set_ylabel("true")
    drawing.legend("upper left")
    shown = "" if len(rows) == len(y) else f" {count(len(rows), 'row')} of {len(y):,} are shown."
    spread = np.std(predicted) * np.std(y) > 0
    agreement = f"{np.corrcoef(predicted, y)[0, 1]:.3f}" if len(y) > 1 and spread else "unknown"
    return drawing.picture(
        "Predicted and true",
        f"Each point is a row; the nearer to the dotted line, the better.{shown}",
        f"Scatter plot of true over predicted numbers; their correlation is {agreement}",
    )


def _errors(errors: NDArray[np.float64]) -> Picture:
    drawing = Drawing()
    low, high = np.quantile(errors, [0.005, 0.995])
    inside = errors[(errors >= low) & (errors <= high)]
    counts, edges = np.histogram(inside, bins=min(30, max(5, int(np.sqrt(len(inside))))))
    drawing.ax.stairs(counts, edges, color=SERIES[0], fill=True, alpha=0.35)
    drawing.ax.stairs(counts, edges, color=SERIES[0], linewidth=1.6)
    drawing.ax.axvline(0, color=INK, linewidth=0.9, linestyle=":")
    drawing.ax.set_xlabel("predicted \N{MINUS SIGN} true")
    drawing.ax.set_ylabel("rows")
    drawing.whole_numbers(drawing.ax.yaxis)
    half, most = np.quantile(np.abs(errors), [0.5, 0.9])
    return drawing.picture(
        "Errors",
        f"Half of the predictions are off by less than {number(half)}, and nine of ten by less "
        f"than {number(most)}. The largest errors, one in a hundred, are left out of the figure.",
        f"Histogram of errors with the mean {number(errors.mean())}",
    )


def _parts(predicted: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    """Cut rows into parts of about the same number by the size of their predictions."""
    order = np.argsort(predicted, kind="stable")
    return [rows for rows in np.array_split(order, min(_N_PARTS, len(order))) if len(rows)]


def _means(y: NDArray[np.float64], predicted: NDArray[np.float64]) -> Picture:
    drawing = Drawing()
    parts = _parts(predicted)
    x = np.array([predicted[rows].mean() for rows in parts])
    means = np.array([y[rows].mean() for rows in parts])
    whiskers = [
        1.96 * np.std(y[rows] - predicted[rows], ddof=1) / np.sqrt(len(rows))
        if len(rows) > 1 else 0.0 for rows in parts
    ]  # fmt: skip
    low, high = min(x.min(), means.min()), max(x.max(), means.max())
    drawing.diagonal(low, high, "perfect")
    drawing.ax.errorbar(
        x, means, yerr=whiskers, fmt="o-", color=SERIES[0], ecolor=INK, elinewidth=0.9,
        capsize=2.5, markersize=4.5, label="the model",
    )  # fmt: skip
    drawing.ax.set_xlabel("mean prediction")
    drawing.ax.set_ylabel("mean of the true numbers")
    drawing.legend("upper left")
    bias = float(np.mean(predicted - y))
    return drawing.picture(
        "Too high or too low?",
        "The rows are cut into tenths by their predictions. Points above the dotted line: the "
        "predictions are too low there. Whiskers are 95 % intervals.",
        f"Calibration: predictions are {number(abs(bias))} too {'high' if bias > 0 else 'low'} "
        "on average",
    )


def _errors_by_size(y: NDArray[np.float64], predicted: NDArray[np.float64]) -> Picture:
    drawing = Drawing()
    parts = _parts(predicted)
    found = np.array([np.quantile(np.abs(y[r] - predicted[r]), [0.5, 0.9]) for r in parts])
    x = np.array([predicted[rows].mean() for rows in parts])
    drawing.line(x, found[:, 1], 1, "nine of ten rows are below", marker="s", markersize=4)
    drawing.line(x, found[:, 0], 0, "half of the rows are below", marker="o", markersize=4)
    drawing.ax.set_ylim(bottom=0)
    drawing.ax.set_xlabel("mean prediction")
    drawing.ax.set_ylabel("size of the error")
    drawing.legend("upper left")
    largest = int(np.argmax(found[:, 0]))
    return drawing.picture(
        "Where errors are large",
        "The sizes of errors in each tenth of the rows, from the lowest predictions to the "
        "highest.",
        f"The median error is largest, {number(found[largest, 0])}, where predictions are about "
        f"{number(x[largest])}",
    )


def _coverage(
    y: NDArray[np.float64], numbers: NDArray[np.float64], levels: tuple[float, ...]
) -> Picture:
    drawing = Drawing()
    below = np.mean(y[:, np.newaxis] <= numbers, axis=0)
    whiskers = 1.96 * np.sqrt(np.maximum(below * (1 - below), 1e-12) / len(y))
    drawing.diagonal(0, 1, "perfect")
    drawing.ax.errorbar(
        levels, below, yerr=whiskers, fmt="o", color=SERIES[0], ecolor=INK, elinewidth=0.9,
        capsize=2.5, markersize=5, label="the model",
    )  # fmt: skip
    drawing.ax.set_xlabel("quantile that is asked for")
    drawing.ax.set_ylabel("share of rows below it")
    shares_on(drawing.ax.xaxis)
    shares_on(drawing.ax.yaxis)
    drawing.legend("upper left")
    return drawing.picture(
        "Do the quantiles keep what they say?",
        "Of all rows, a tenth should lie below the quantile 0.1, and so on: points on the dotted "
        "line are perfect. Whiskers are 95 % intervals.",
        "Shares below the quantiles: "
        + ", ".join(f"{percent(b)} for {level:g}" for b, level in zip(below, levels, strict=True)),
    )


def _largest(y: NDArray[np.float64], predicted: NDArray[np.float64], row_names: list[str]) -> Grid:
    errors = predicted - y
    order = np.argsort(-np.abs(errors), kind="stable")[:_MOST_WORST]
    rows = [
        [
            Cell(shown(row_names[i], 24), is_header=True),
            Cell(number(y[i]), key=float(y[i])),
            Cell(number(predicted[i]), key=float(predicted[i])),
            Cell(number(errors[i]), key=float(errors[i])),
        ]
        for i in order
    ]
    head = ["row", "true", "predicted", "error"]
    return Grid("The largest errors", head, rows, {1, 2, 3}, can_sort=True)
