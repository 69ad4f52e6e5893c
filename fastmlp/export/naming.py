"""Names of what exported models read and return."""

from collections.abc import Sequence
from typing import Any

from ..estimators.base import BaseMLP
from ..exceptions import InputError
from ..tabular.columns import called
from ..tabular.quantiles import fitted_levels
from ..tabular.several import target_names

_HOLDS = {"date": "dates", "words": "free text"}


def columns_by_kind(model: Any, reader: str) -> dict[str, list[str]]:
    """List the columns that a model reads, by their kind and in the order of the table.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, TabularClassifier or TabularRegressor
    reader : str
        What shall read them, for the message.

    Returns
    -------
    dict
        The names, as text, of 'numeric' and of 'text' columns.

    Raises
    ------
    InputError
        When there are columns of dates or of free text.
    """
    if isinstance(model, BaseMLP):
        n_features = model.n_features_in_
        names = getattr(model, "feature_names_in_", [f"x{i}" for i in range(n_features)])
        return {"numeric": list(map(str, names)), "text": []}
    columns: dict[str, list[str]] = {"numeric": [], "text": []}
    for column in model.columns_:
        if column["kind"] in columns:
            columns[column["kind"]].append(str(column["name"]))
        elif column["kind"] != "dropped":
            holds = _HOLDS.get(column["kind"], column["kind"])
            raise InputError(
                f"{called(column['name'])} holds {holds}, which {reader} cannot read; train "
                "without it, or on columns made of it"
            )
    return columns


def output_names(model: Any) -> list[str]:
    """List the names of the classes that a model knows, or of the numbers that it predicts.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, TabularClassifier or TabularRegressor

    Returns
    -------
    list of str
        Numbers have the names of the targets, with the level of a quantile behind it. There are
        two names also where training had a single class.
    """
    if hasattr(model, "classes_"):
        classes = [str(label) for label in model.classes_.tolist()]
        return classes * 2 if len(classes) == 1 else classes
    names: list[Any]
    levels: Sequence[float] = ()
    if isinstance(model, BaseMLP):
        names, levels = [None] * model.n_outputs_, model._fitted_quantiles()
    elif len(names := target_names(model)) == 1:
        levels = fitted_levels(model)
    if len(levels) > 1:
        name = "prediction" if names[0] is None else names[0]
        return [f"{name}_{level:g}" for level in levels]
    if names == [None]:
        return ["prediction"]
    return [f"prediction_{i}" if name is None else str(name) for i, name in enumerate(names, 1)]
