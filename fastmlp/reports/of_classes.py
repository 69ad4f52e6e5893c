"""What a classifier gets right and wrong: confusions, ROC and precision-recall, calibration."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    precision_recall_curve,
    precision_recall_fscore_support,
    roc_auc_score,
    roc_curve,
)

from .blocks import Block, Cell, Grid, Notes, Picture, Row, Text
from .figures import Drawing, shares_on, thinned
from .quality import Evaluated
from .svg import INK, SERIES
from .texts import NONE, count, listed, number, percent, quoted, shown

_MOST_CLASSES = 15  # in the table of confusions
_MOST_CURVES = 4
_MOST_CONFUSIONS = 12
_N_BINS = 10


def confusion_blocks(evaluated: Evaluated) -> list[Block]:
    """Show how often each class is taken for which, and what is found of each class."""
    part, said = evaluated.part, evaluated.said
    known = part.y >= 0
    codes, labels = part.y[known], said.labels[known]
    n_classes = len(part.classes)
    counts = confusion_matrix(codes, labels, labels=np.arange(n_classes)) if known.any() else (
        np.zeros((n_classes, n_classes), dtype=int)
    )  # fmt: skip
    blocks: list[Block] = []
    if n_classes <= _MOST_CLASSES:
        blocks.append(
            Text(
                "Each row of the first table has the rows of one true class, and says what the "
                "model took them for: the diagonal is right."
            )
        )
        blocks.append(_matrix(part.classes, counts))
    else:
        blocks.append(_frequent_confusions(part.classes, counts))
    blocks.append(_by_class(part.classes, codes, labels))
    if hasattr(part.model, "threshold_"):
        blocks.append(
            Notes([f"{quoted(part.classes[1])} is said from a probability of "
                   f"{number(part.model.threshold_)} on, instead of 0.5."])
        )  # fmt: skip
    return blocks


def _matrix(classes: list[str], counts: NDArray[np.int_]) -> Grid:
    totals = counts.sum(axis=1)
    rows = []
    for i, label in enumerate(classes):
        cells = [Cell(shown(label, 24), is_header=True)]
        for j in range(len(classes)):
            share = counts[i, j] / totals[i] if totals[i] else 0.0
            detail = percent(share) if len(classes) <= 6 else ""
            cells.append(Cell(f"{counts[i, j]:,}", detail, look=f"h{round(10 * share)}"))
        rows.append([*cells, Cell(f"{totals[i]:,}")])
    head = ["true class", *(f"→ {shown(label, 24)}" for label in classes), "rows"]
    numeric = set(range(1, len(head)))
    return Grid("What each class is taken for", head, rows, numeric, is_matrix=True)


def _frequent_confusions(classes: list[str], counts: NDArray[np.int_]) -> Grid:
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    places = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_CONFUSIONS]
    rows = []
    for i, j in zip(*np.unravel_index(places, wrong.shape), strict=True):
        if wrong[i, j]:
            share = wrong[i, j] / counts[i].sum()
            rows.append([
                Cell(shown(classes[i], 30), is_header=True), Cell(shown(classes[j], 30)),
                Cell(f"{wrong[i, j]:,}"), Cell(percent(share)),
            ])  # fmt: skip
    head = ["true class", "taken for", "rows", "of the true class"]
    return Grid("The most frequent mistakes", head, rows, {2, 3})


def _by_class(classes: list[str], codes: NDArray[np.intp], labels: NDArray[np.intp]) -> Grid:
    if not len(codes):
        return Grid("Each class", ["class"], [])
    precision, recall, f1, support = precision_recall_fscore_support(
        codes, labels, labels=np.arange(len(classes)), zero_division=0
    )
    rows = [
        [
            Cell(shown(label, 30), is_header=True),
            Cell(f"{support[i]:,}", key=float(support[i])),
            Cell(percent(recall[i]) if support[i] else NONE, key=float(recall[i])),
            Cell(percent(precision[i]) if (labels == i).any() else NONE, key=float(precision[i])),
            Cell(number(round(f1[i], 3)) if support[i] else NONE, key=float(f1[i])),
        ]
        for i, label in enumerate(classes)
    ]
    head = ["class", "rows", "of these found (recall)", "right when said (precision)", "F1"]
    return Grid("Each class", head, rows, {1, 2, 3, 4}, can_sort=True)


def curve_blocks(evaluated: Evaluated) -> list[Block]:
    """Draw ROC and precision-recall curves, of the most frequent classes where there are many."""
    part = evaluated.part
    known = part.y >= 0
    codes, shares = part.y[known], evaluated.said.shares[known]
    counts = np.bincount(codes, minlength=len(part.classes))
    if len(part.classes) == 2:
        chosen = [1] if counts.min() else []
    else:
        chosen = [int(k) for k in np.argsort(-counts, kind="stable")[:_MOST_CURVES]
                  if 0 < counts[k] < len(codes)]  # fmt: skip
    if not chosen:
        return [Text("The rows have a single class, so that there are no curves to draw.")]
    roc, precision = Drawing(), Drawing()
    areas, precisions = [], []
    for series, k in enumerate(chosen):
        is_one, score = codes == k, shares[:, k]
        area, mean = roc_auc_score(is_one, score), average_precision_score(is_one, score)
        areas.append(area)
        precisions.append(mean)
        false, true, _ = roc_curve(is_one, score)
        label = roc.names.word(f"{shown(part.classes[k], 16)}: {area:.3f}", 24)
        roc.line(*thinned(false, true), series, label)
        right, found, _ = precision_recall_curve(is_one, score)
        label = precision.names.word(f"{shown(part.classes[k], 16)}: {mean:.3f}", 24)
        precision.line(*thinned(found, right), series, label)
        base = is_one.mean()
        precision.ax.axhline(base, color=SERIES[series], linewidth=0.9, linestyle=":")
    roc.diagonal(0, 1, "guessing")
    for drawing, x, y in (
        (roc, "of the other rows, wrongly said", "of the class, found (recall)"),
        (precision, "of the class, found (recall)", "right when said (precision)"),
    ):
        drawing.ax.set_xlabel(x)
        drawing.ax.set_ylabel(y)
        drawing.ax.set_ylim(-0.02, 1.03)
        shares_on(drawing.ax.xaxis)
        shares_on(drawing.ax.yaxis)
    roc.legend("lower right")
    precision.legend("lower left")
    names = [quoted(part.classes[k]) for k in chosen]
    return [
        Row([
            roc.picture(
                "ROC curve",
                f"What share of {_these(names)} is found, for each share of the other rows that is "
                "wrongly taken for it; the higher the curve, the better. The number is the area.",
                "ROC curves with the areas "
                + listed([f"{a:.3f} for {n}" for a, n in zip(areas, names, strict=True)]),
            ),
            precision.picture(
                "Precision and recall",
                f"How often the model is right when it says {_these(names)}, for each share "
                "that it finds; guessing is the dotted line. The number is the mean precision.",
                "Precision-recall curves with the mean precisions "
                + listed([f"{p:.3f} for {n}" for p, n in zip(precisions, names, strict=True)]),
            ),
        ])
    ]  # fmt: skip


def _these(names: list[str]) -> str:
    return names[0] if len(names) == 1 else "a class"


def calibration_blocks(evaluated: Evaluated) -> list[Block]:
    """Draw how often what is predicted with a probability is true, and the probabilities."""
    part = evaluated.part
    known = part.y >= 0
    codes, shares = part.y[known], evaluated.said.shares[known]
    if not len(codes):
        return []
    if len(part.classes) == 2:
        score, is_true = shares[:, 1], codes == 1
        what = f"probability of {quoted(part.classes[1], 24)}"
    else:
        score, is_true = shares.max(axis=1), codes == np.argmax(shares, axis=1)
        what = "probability of the class that is said"
    return [Row([_calibration(score, is_true, what), _spread(evaluated, score, is_true, what)])]


def _calibration(score: NDArray[np.float64], is_true: NDArray[np.bool_], what: str) -> Picture:
    """Draw the share of true rows in bins of about as many rows."""
    edges = np.unique(np.quantile(score, np.linspace(0, 1, _N_BINS + 1)))
    places = np.clip(np.searchsorted(edges, score, side="right") - 1, 0, max(len(edges) - 2, 0))
    drawing = Drawing()
    drawing.diagonal(0, 1, "perfect")
    means, observed, below, above = [], [], [], []
    for place in np.unique(places):
        rows = places == place
        n_true, n_rows = int(is_true[rows].sum()), int(rows.sum())
        interval = binomtest(n_true, n_rows).proportion_ci(method="wilson")
        means.append(score[rows].mean())
        observed.append(n_true / n_rows)
        below.append(max(0.0, observed[-1] - interval.low))
        above.append(max(0.0, interval.high - observed[-1]))
    drawing.ax.errorbar(
        means, observed, yerr=[below, above], fmt="o-", color=SERIES[0], ecolor=INK,
        elinewidth=0.9, capsize=2.5, markersize=4.5, label="the model",
    )  # fmt: skip
    drawing.ax.set_xlabel(drawing.names.word(what, 44))
    drawing.ax.set_ylabel("share that is true")
    shares_on(drawing.ax.xaxis)
    shares_on(drawing.ax.yaxis)
    drawing.legend("upper left")
    n_rows_of = np.unique(places, return_counts=True)[1]
    gap = float(np.average(np.abs(np.subtract(means, observed)), weights=n_rows_of))
    return drawing.picture(
        "Can the probabilities be believed?",
        "Rows with similar probabilities are put together: of those with 70 %, 70 % should be "
        "true. Points on the dotted line are perfect; whiskers are 95 % intervals.",
        f"Calibration: probabilities and shares differ by {percent(gap)} on average",
    )


def _spread(
    evaluated: Evaluated, score: NDArray[np.float64], is_true: NDArray[np.bool_], what: str
) -> Picture:
    drawing = Drawing()
    classes = evaluated.part.classes
    names = (
        (quoted(classes[0], 16), quoted(classes[1], 16))
        if len(classes) == 2
        else ("wrong", "right")
    )
    edges = np.linspace(0, 1, 21) if len(classes) == 2 else np.linspace(1 / len(classes), 1, 21)
    for series, (name, rows) in enumerate(zip(names, (~is_true, is_true), strict=True)):
        counts = np.histogram(score[rows], edges)[0]
        drawing.ax.stairs(
            counts, edges, color=SERIES[series], fill=True, alpha=0.35,
        )  # fmt: skip
        drawing.ax.stairs(
            counts, edges, color=SERIES[series], linewidth=1.6,
            linestyle=("-", "--")[series], label=drawing.names.word(name, 20),
        )  # fmt: skip
    drawing.ax.set_xlabel(drawing.names.word(what, 44))
    drawing.ax.set_ylabel("rows")
    drawing.whole_numbers(drawing.ax.yaxis)
    shares_on(drawing.ax.xaxis)
    drawing.legend("above")
    sure = float(np.mean(np.maximum(score, 1 - score) > 0.9))
    return drawing.picture(
        "How sure the model is",
        "How many rows get which probability, "
        + ("among those of either class." if len(classes) == 2 else "of those right and wrong."),
        f"Probabilities of {count(len(score), 'row')}; {percent(sure)} are beyond 90 or 10 %",
    )
