"""How good a model is: its metrics with intervals, beside those of simpler models."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..tabular.scoring import Predicted, interval, sampled
from .blocks import Block, Cell, Grid, Notes, Text
from .references import SimpleModels, references
from .rows import Part, Subject
from .texts import NONE, count, digits_for, percent, shown, with_interval

MODEL, LINEAR, TRIVIAL = "model", "linear", "trivial"
_FEW_ROWS = 50

# What each metric is called, and what it says. {one} is a class, {unit} the target.
_WORDS = {
    "accuracy": ("accuracy", "share of rows whose class is right; 1 is best"),
    "balanced_accuracy": (
        "balanced accuracy",
        "the same, where every class counts alike however rare it is; 1 is best",
    ),
    "log_loss": (
        "log loss",
        "how far the probabilities are from what was true; 0 is best, and confident mistakes "
        "cost most",
    ),
    "roc_auc": (
        "ROC AUC",
        "how often a row of {one} gets a higher probability of it than another row; 0.5 is "
        "guessing, 1 is best",
    ),
    "r2": ("R²", "share of the variation that is explained; 0 is as good as the mean, 1 is best"),
    "rmse": ("RMSE", "size of the errors in units of {unit}, where large ones count more"),
    "mae": ("mean error", "mean size of the errors in units of {unit}, without their signs"),
    "pinball_loss": ("pinball loss", "mean error of the quantiles, which 0 is best for"),
}


@dataclass
class Measured:
    """The values of a metric.

    Parameters
    ----------
    value : float
        Of the rows as they are.
    draws : ndarray of shape (n_samples,)
        Of samples of the rows.
    """

    value: float
    draws: NDArray[np.float64]

    def interval(self) -> tuple[float, float]:
        """Return the bounds between which 95 % of the samples lie; not-a-number without any."""
        low, high = interval(self.draws, 0.95) or (np.nan, np.nan)
        return low, high

    def minus(self, other: "Measured") -> "Measured":
        """Return the difference, on the same samples."""
        return Measured(self.value - other.value, self.draws - other.draws)


@dataclass
class Evaluated:
    """What a model and simpler ones predict for one target, and how good that is.

    Parameters
    ----------
    part : Part
    said : Predicted
    references : SimpleModels
    measured : dict of str to dict of str to Measured
        By 'model', 'linear' and 'trivial', and by the names of metrics.
    """

    part: Part
    said: Predicted
    references: SimpleModels
    measured: dict[str, dict[str, Measured]]

    @property
    def main_metric(self) -> str:
        """The metric by which models are compared."""
        known = self.measured[MODEL]
        return next(
            name for name in ("log_loss", "pinball_loss", "rmse", "accuracy") if name in known
        )


def evaluate(subject: Subject, part: Part) -> Evaluated:
    """Predict the rows of a report for one target, and measure the predictions."""
    said = predicted_by(part, part.model._inputs(subject.X), part.y)
    found = references(subject.X, part.y, len(part.classes), part.levels, part.training)
    all_said = {MODEL: said}
    for name, predicted in ((LINEAR, found.linear), (TRIVIAL, found.trivial)):
        if predicted is not None:
            all_said[name] = replace(said, predicted=predicted, threshold=0.5)
    return Evaluated(part, said, found, measure(all_said))


def measure(all_said: dict[str, Predicted]) -> dict[str, dict[str, Measured]]:
    """Compute the metrics of several models on the same rows, and on the same samples of them."""
    draws = sampled(list(all_said.values()))
    return {
        model: {name: Measured(value, values[name]) for name, value in said.scores().items()}
        for (model, said), values in zip(all_said.items(), draws, strict=True)
    }


def predicted_by(part: Part, inputs: NDArray[np.float32], y: NDArray[Any]) -> Predicted:
    """Return what the model for a target says of rows, whose inputs are made.

    Parameters
    ----------
    part : Part
    inputs : ndarray of shape (n_rows, n_inputs)
    y : ndarray of shape (n_rows,)
        The true values, as in `part`.

    Returns
    -------
    Predicted
    """
    model = part.model
    if part.classes:
        shares = model.estimator_.predict_proba(inputs)
        threshold = getattr(model, "threshold_", 0.5)
        return Predicted(y, shares, np.arange(len(part.classes)), threshold)
    predicted = model._predictions(model.estimator_.predict(inputs))
    return Predicted(y, predicted, levels=part.levels)


def loss_of(part: Part) -> tuple[Callable[[Any, NDArray[Any]], float], str]:
    """Return a function of inputs and true values that is the loss of a model, and its name."""
    metric = "log_loss" if part.classes else "pinball_loss" if part.levels else "rmse"

    def loss(inputs: NDArray[np.float32], y: NDArray[Any]) -> float:
        known = predicted_by(part, inputs, y).weighted_metrics
        return float(known[metric](np.ones((1, len(y))))[0]) if metric in known else 0.0

    return loss, _WORDS[metric][0]


def quality_blocks(evaluated: Evaluated) -> list[Block]:
    """Write the verdict and the table of metrics."""
    part, measured = evaluated.part, evaluated.measured
    notes = [_about_references(evaluated)]
    n_rows = len(part.y)
    if n_rows < _FEW_ROWS:
        notes.append(
            f"There are {count(n_rows, 'row')} only: the numbers can be quite different on others."
        )
    if part.classes and "roc_auc" not in measured[MODEL] and len(part.classes) == 2:
        notes.append("The rows have a single class, so that there is no ROC AUC.")
    unknown = int((part.y < 0).sum()) if part.classes else 0
    if unknown:
        notes.append(
            f"{count(unknown, 'row has', 'rows have')} a class that the model does not know; "
            "each counts as wrong."
        )
    return [Text(verdict(evaluated)), _table(evaluated), Notes(notes)]


def verdict(evaluated: Evaluated) -> str:
    """Say in a sentence or two how good the model is."""
    measured = evaluated.measured
    of_model = measured[MODEL]
    first = next(n for n in ("accuracy", "pinball_loss", "mae") if n in of_model)
    value, low, high = of_model[first].value, *of_model[first].interval()
    others = []
    for name, words in ((LINEAR, "a linear model"), (TRIVIAL, _trivial_words(evaluated))):
        if name in measured:
            others.append((words, measured[name][first].value))
    if first == "accuracy":
        text = f"The model gets {percent(value)} of the rows right"
        text += f" (95 % interval {percent(low)} to {percent(high)})" if low < high else ""
        beside = [f"{words} {percent(other)}" for words, other in others]
    else:
        shown_value, interval = with_interval(value, low, high)
        what = "The pinball loss of the model is" if first == "pinball_loss" else (
            "The predictions are off by"
        )  # fmt: skip
        text = f"{what} {shown_value}" + ("" if first == "pinball_loss" else " on average")
        text += f" (95 % interval {interval})" if interval else ""
        digits = digits_for(low, high)
        has = "has" if first == "pinball_loss" else "is off by"
        beside = [f"{words} {has} {with_interval(other, 0, 0, digits)[0]}"
                  for words, other in others]  # fmt: skip
    return f"{text}; {', '.join(beside)}. {_compared(evaluated)}"


def _trivial_words(evaluated: Evaluated) -> str:
    if evaluated.part.classes:
        return "always saying the most frequent class"
    return "always saying the same quantiles" if evaluated.part.levels else "always saying the mean"


def _compared(evaluated: Evaluated) -> str:
    """Say whether the model is better than the simpler ones, beyond chance."""
    name, measured = evaluated.main_metric, evaluated.measured
    is_loss = name != "accuracy"
    found = []
    for other, words in ((LINEAR, "the linear model"), (TRIVIAL, "the trivial one")):
        if other not in measured or name not in measured[other]:
            continue
        low, high = measured[MODEL][name].minus(measured[other][name]).interval()
        if not low <= high:
            continue
        if not is_loss:
            low, high = -high, -low
        if high < 0:
            found.append(f"clearly better than {words}")
        elif low > 0:
            found.append(f"clearly worse than {words}")
        else:
            found.append(f"not clearly different from {words}")
    if not found:
        return "There are too few rows to compare it with simpler models."
    called = _WORDS[name][0]
    if len(found) == 2 and found[0].split(" the ")[0] == found[1].split(" the ")[0]:
        found = [f"{found[0]} and {found[1].split(' than ')[-1].split(' from ')[-1]}"]
    return f"By the {called} it is {', and '.join(found)}."


def _about_references(evaluated: Evaluated) -> str:
    found = evaluated.references
    n_draws = len(evaluated.measured[MODEL][evaluated.main_metric].draws)
    if found.is_crossed:
        text = (
            "The simpler models were trained on other parts of the same rows, five times, so that "
            "none has seen what it predicts."
        )
    else:
        text = "The simpler models were trained on the rows that the model was trained on."
    if found.linear is None:
        return f"{text} There is no linear model: {found.why_no_linear}."
    kind = "a logistic regression" if evaluated.part.classes else "a ridge regression"
    return (
        f"{text} The linear model is {kind} on the same columns"
        f" ({count(found.n_rows, 'row')} at most); the trivial one ignores them. Intervals have "
        f"95 % of {n_draws:,} samples of the rows (bootstrap)."
    )


def _table(evaluated: Evaluated) -> Grid:
    measured, part = evaluated.measured, evaluated.part
    one = f"“{shown(part.classes[1], 24)}”" if len(part.classes) == 2 else "the class"
    words = {"one": one, "unit": "the target" if part.name is None else f"“{shown(part.name, 24)}”"}
    rows = []
    for name in measured[MODEL]:
        title, text = _WORDS.get(name, (name, ""))
        if name.startswith("below_"):
            level = float(name.removeprefix("below_"))
            title = f"rows below the quantile {level:g}"
            text = f"{percent(level)} of the rows should be"
        cells = [Cell(title, text.format(**words), is_header=True)]
        digits = digits_for(*measured[MODEL][name].interval())
        for model in (MODEL, LINEAR, TRIVIAL):
            if model not in measured:
                continue
            found = measured[model].get(name)
            if found is None:
                cells.append(Cell(NONE))
            else:
                cells.append(Cell(*with_interval(found.value, *found.interval(), digits)))
        rows.append(cells)
    head = ["", "this model"]
    head += ["linear model"] if LINEAR in measured else []
    head.append("trivial")
    caption = "Metrics, with the interval that 95 % of samples lie in"
    return Grid(caption, head, rows, set(range(1, len(head))))
