"""The columns that a model needs and what it returns, as clients see them."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from ..tabular.quantiles import fitted_levels
from ..tabular.several import models_of, target_names

_SHOWN_LEVELS = 64
_MISSING = "(missing)"
# The types of tensors in the Open Inference Protocol, by the kinds of NumPy's arrays.
_DATATYPES = {"b": "BOOL", "i": "INT64", "u": "INT64", "f": "FP64"}


@dataclass(frozen=True)
class InputColumn:
    """A column that a model needs.

    Attributes
    ----------
    key : str
        Its name in a request.
    name : hashable
        Its name in the table that was trained on.
    kind : {'numeric', 'text', 'date', 'words'}
    form : str
        How its numbers or dates were written as text; '' for plain ones.
    levels : list of str
        The most frequent levels of text.
    example : object
        A usual value.
    """

    key: str
    name: Hashable
    kind: str
    form: str
    levels: list[str]
    example: Any

    @property
    def datatype(self) -> str:
        """The type of its tensor in the Open Inference Protocol."""
        return "FP64" if self.kind == "numeric" and not self.form else "BYTES"


@dataclass(frozen=True)
class Schema:
    """What a model needs and returns.

    Attributes
    ----------
    columns : list of InputColumn
        Those that are used, in the order of the table.
    given : list of str
        The names of all columns that the model was fitted on, also those that it does not use.
    values : list of str
        The names of what is predicted: the target, or several targets or quantiles.
    datatype : str
        The type of these values in the Open Inference Protocol.
    classes : list, or None
        The labels of a classification.
    probabilities : list of str
        The names of the probabilities of the classes.
    """

    columns: list[InputColumn]
    given: list[str]
    values: list[str]
    datatype: str
    classes: list[Any] | None
    probabilities: list[str]


def schema_of(model: Any) -> Schema:
    """Describe a fitted TabularClassifier or TabularRegressor.

    Values and probabilities have the names that ``fastmlp predict --proba`` gives them.
    """
    columns: dict[str, InputColumn] = {}
    for one in models_of(model):  # a column may be dropped for one target, and used for another
        for column in _columns(one):
            columns.setdefault(column.key, column)
    given = [str(column["name"]) for column in model.columns_]
    order = {key: i for i, key in enumerate(given)}
    used = sorted(columns.values(), key=lambda column: order[column.key])
    names = target_names(model)
    values = ["prediction" if name is None else str(name) for name in names]
    if len(names) > 1:
        values = [f"prediction_{i}" if n is None else str(n) for i, n in enumerate(names, 1)]
        return Schema(used, given, values, "FP64", None, [])
    if not hasattr(model, "classes_"):
        levels = fitted_levels(model)
        if len(levels) > 1:
            values = [f"{values[0]}_{level:g}" for level in levels]
        return Schema(used, given, values, "FP64", None, [])
    probabilities: list[str] = []
    for label in model.classes_.tolist():
        name = f"probability_{label}"
        while name in probabilities:  # classes can look the same
            name += "_"
        probabilities.append(name)
    if values[0] in probabilities:
        values = ["prediction"]
    datatype = _DATATYPES.get(model.classes_.dtype.kind, "BYTES")
    return Schema(used, given, values, datatype, model.classes_.tolist(), probabilities)


def _columns(model: Any) -> list[InputColumn]:
    """List the columns that the model of one target uses."""
    fitted = model.preprocessor_
    levels, fills = iter(fitted.levels_), iter(fitted.fill_values_.tolist())
    found = []
    for column in sorted(fitted.columns_, key=lambda column: column["kind"] != "numeric"):
        kind, form, shown, example = column["kind"], "", [], None
        if kind == "dropped":
            continue
        if kind == "numeric":
            form, example = column.get("number_format", ""), next(fills)
            example = None if form else _short(example)
        elif kind == "text":
            shown = [level.strip() for level in next(levels) if level != _MISSING]
            shown = list(dict.fromkeys(shown))[:_SHOWN_LEVELS]
            example = shown[0] if shown else None
        elif kind == "date":
            form = column.get("date_form", "")
        found.append(InputColumn(str(column["name"]), column["name"], kind, form, shown, example))
    return found


def _short(number: float) -> float | int:
    """Return a number that is easy to read, close to another one."""
    rounded = float(f"{number:.4g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 2**53 else rounded
