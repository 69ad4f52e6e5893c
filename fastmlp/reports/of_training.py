"""How a model was trained: what was chosen and why, and how the loss fell."""

from inspect import signature
from typing import Any

import numpy as np
from sklearn.base import is_classifier

from ..estimators.planning import layer_units
from ..tabular.pack.members import Pack, networks_of
from ..tabular.pack.preparation import why
from .blocks import Block, Cell, Grid, Notes, Row
from .figures import MARKERS, Drawing
from .rows import Part, Subject
from .svg import INK, SERIES
from .texts import count, listed, number, quoted, shown

_MOST_POINTS = 300
_MOST_PARAMETERS = 40
# What the kinds of networks of a pack are, for those who have not read of them.
_KINDS = {
    "ple": "columns cut into pieces at their quantiles",
    "tree": "columns cut where a decision tree cuts them",
    "plain": "columns as they are",
    "linear": "a linear model of columns and pieces",
    "logistic": "a logistic regression of the columns",
    "log": "columns as they are, to predict the logarithm",
}


def training_blocks(subject: Subject) -> list[Block]:
    """Say what was chosen and why, and draw how training went."""
    blocks: list[Block] = [_choices(subject)]
    for part in subject.parts[:3]:
        trained = part.model.estimator_
        of = f" for {part.quoted}" if len(subject.parts) > 1 else ""
        if isinstance(trained, Pack):
            blocks += _pack(part, trained, of)
        else:
            blocks += _curve(part, trained, of)
    return blocks


def _choices(subject: Subject) -> Grid:
    model = subject.model
    report = getattr(model, "report_", {})
    rows: list[tuple[str, str, str]] = []
    task = "classification" if is_classifier(model) else "regression"
    rows.append(("task", task, report.get("task_reason") or "chosen by the user"))
    rows.append(("model", *_form(subject)))
    if report.get("train_rows"):
        held = report["test_rows"]
        rows.append((
            "rows", f"{report['train_rows']:,} for training",
            f"{held:,} were held out for the test" if held else "none were held out for a test",
        ))  # fmt: skip
    rows.append(("seed", str(model.random_state), "the same rows and seed give the same model"))
    epochs = f"{model.n_iter_:,} epochs"
    if report.get("seconds"):
        epochs += f" in {report['seconds']:,.1f} seconds"
    rows.append(("training", epochs, _ending(report)))
    if hasattr(model, "threshold_"):
        rows.append(("threshold", number(model.threshold_), f"threshold={model.threshold!r}"))
    rows += [(name, value, "chosen by the user") for name, value in _set_parameters(model)]
    reading = getattr(model, "reading_", {})
    marks = [quoted(mark, 12) for mark in getattr(model, "na_values_", ())]
    if marks:
        rows.append(("missing values", listed(marks), "marks in the file, beside the usual ones"))
    if reading.get("decimal"):
        rows.append(("decimal mark", quoted(reading["decimal"]), "in the file"))
    cells = [[Cell(shown(a, 40), is_header=True), Cell(shown(b, 120)), Cell(shown(c, 200))]
             for a, b, c in rows]  # fmt: skip
    return Grid("What was chosen, and why", ["", "choice", "why"], cells)


def _form(subject: Subject) -> tuple[str, str]:
    """Say what the model is, and why."""
    model = subject.parts[0].model
    trained = model.estimator_
    if isinstance(trained, Pack):
        n_networks = sum(len(part.model.estimator_.members) for part in subject.parts)
        form = f"{count(n_networks, 'network')}, whose predictions are averaged"
    else:
        units = layer_units(trained)
        form = f"a network with layers of {', '.join(map(str, units))} units"
    reason = why(model).replace("`", "")
    if len(subject.parts) > 1:
        form += f", for {len(subject.parts)} targets"
    return form, reason


def _ending(report: dict[str, Any]) -> str:
    if report.get("interrupted"):
        return "it was interrupted; what was learned until then is the model"
    if report.get("cut_short"):
        return "the time limit left out networks that were planned"
    if report and not report.get("converged", True):
        return "it ended at the limit of epochs, and more might help"
    return "it ended when held-out rows were predicted no better, or at a planned end"


def _set_parameters(model: Any) -> list[tuple[str, str]]:
    """Return the parameters that are not as by default."""
    known = signature(type(model)).parameters
    found = []
    for name, value in model.get_params(deep=False).items():
        default = known[name].default
        is_same = value is default or (
            type(value) is type(default) and repr(value) == repr(default)
        )
        if not is_same and name not in ("random_state", "n_jobs", "threshold"):
            found.append((name, repr(value) if not callable(value) else getattr(
                value, "__name__", type(value).__name__)))  # fmt: skip
    return found[:_MOST_PARAMETERS]


def _pack(part: Part, pack: Pack, of: str) -> list[Block]:
    """Show the kinds of a pack, and the loss of each of its networks on rows it has not seen."""
    called = "log loss" if part.classes else "pinball loss" if part.levels else "RMSE"
    kinds = sorted(pack.kinds, key=lambda kind: -kind["weight"])
    rows = [
        [
            Cell(kind["kind"], _KINDS.get(kind["kind"].split("-")[0], ""), is_header=True),
            Cell(f"{100 * kind['weight']:.0f} %" if kind["weight"] else "not used"),
            Cell(str(kind["folds"])),
            Cell(f"{kind['epochs']:,}"),
            Cell(number(kind["loss"])),
        ]
        for kind in kinds
    ]
    rows.append([Cell("together", is_header=True), Cell("100 %"), Cell(str(len(pack.members))),
                 Cell(f"{pack.n_iter_:,}"), Cell(number(pack.loss))])  # fmt: skip
    head = ["kind of network", "weight", "networks", "epochs", f"{called} on held-out folds"]
    grid = Grid(f"The kinds of networks that were tried{of}", head, rows, {1, 2, 3, 4})
    note = (
        "Each network holds out a part of the training rows (a fold), and the kinds are weighed by "
        "how well they predict rows that they have not seen."
    )
    if not pack.members:
        return [grid, Notes([note])]
    drawing = Drawing(height=max(1.9, 1.0 + 0.35 * len({m.kind for m in pack.members})))
    names = [kind["kind"] for kind in kinds if any(m.kind == kind["kind"] for m in pack.members)]
    for place, name in enumerate(names):
        scores = [abs(member.score) for member in pack.members if member.kind == name]
        drawing.ax.plot(
            scores, np.full(len(scores), place), MARKERS[place % len(MARKERS)],
            color=SERIES[place % len(SERIES)], markersize=6, alpha=0.8,
        )  # fmt: skip
    if np.isfinite(pack.loss):
        drawing.ax.axvline(pack.loss, color=INK, linewidth=1, linestyle=":", label="together")
        drawing.legend("above")
    drawing.ax.set_yticks(np.arange(len(names)), names)
    drawing.ax.set_ylim(len(names) - 0.4, -0.6)
    drawing.ax.set_xlabel(f"{called} on the fold that was held out")
    picture = drawing.picture(
        f"The networks{of}",
        "Each mark is a network, measured on rows that it has not seen: the further left, the "
        "better. How much marks of one kind differ shows what chance does.",
        f"Losses of {len(pack.members)} networks; together they have {number(pack.loss)}",
    )
    return [grid, Row([picture]), Notes([note])]


def _curve(part: Part, trained: Any, of: str) -> list[Block]:
    """Draw the learning curve of a single network."""
    (network,) = networks_of(trained)
    history = dict(getattr(network, "history_", None) or {})
    loss = np.asarray(history.get("loss", getattr(network, "loss_curve_", ())), dtype=float)
    if not len(loss):
        return [Notes([f"A network trained by {network.solver!r} keeps no record of its loss."])]
    drawing = Drawing()
    epochs = np.arange(1, len(loss) + 1)
    _add(drawing, epochs, loss, 0, "training loss")
    validation = history.get("validation_loss")
    scores = history.get("validation_score", getattr(network, "validation_scores_", None))
    if validation is not None:
        _add(drawing, epochs, np.asarray(validation, dtype=float), 1, "validation loss")
    positive = loss[loss > 0]
    if len(positive) == len(loss) and loss.max() > 50 * loss.min():
        drawing.ax.set_yscale("log")
    drawing.whole_numbers(drawing.ax.xaxis)
    drawing.ax.set_xlabel("iteration" if network.solver == "lbfgs" else "epoch")
    drawing.ax.set_ylabel("loss")
    if validation is not None:
        drawing.legend("above")
    pictures = [
        drawing.picture(
            f"Learning curve{of}",
            "The loss that training makes smaller, after each pass over the rows.",
            f"The training loss falls from {number(loss[0])} to {number(loss[-1])} in "
            f"{len(loss)} epochs",
        )
    ]
    if scores is not None and len(scores):
        values = np.asarray(scores, dtype=float)
        right = Drawing()
        _add(right, np.arange(1, len(values) + 1), values, 2, "validation score")
        best = int(np.nanargmax(values))
        right.ax.axvline(best + 1, color=INK, linewidth=0.9, linestyle=":")
        right.whole_numbers(right.ax.xaxis)
        right.ax.set_xlabel("epoch")
        right.ax.set_ylabel("accuracy" if part.classes else "score")
        pictures.append(
            right.picture(
                "Rows held out in training",
                "How well rows are predicted that are not trained on. The dotted line is the epoch "
                "whose weights were kept.",
                f"The best validation score is {number(values[best])}, in epoch {best + 1}",
            )
        )
    return [Row(pictures)]


def _add(drawing: Drawing, epochs: Any, values: Any, series: int, label: str) -> None:
    known = np.flatnonzero(np.isfinite(values))
    if len(known) > _MOST_POINTS:
        known = known[np.linspace(0, len(known) - 1, _MOST_POINTS).round().astype(int)]
    drawing.line(epochs[known], values[known], series, label)
