"""How a table is read for a model that was trained on another one."""

from collections.abc import Sequence
from typing import Any

from sklearn.base import is_classifier

from ..exceptions import DataError
from .csv import listed
from .reading import Reading
from .several import target_forms, target_names


def reading_for(
    model: Any,
    *,
    separator: str | None = None,
    encoding: str | None = None,
    decimal: str | None = None,
    na_values: str | Sequence[str] = (),
    header: bool | None = None,
    allow_empty: bool = True,
    keep: Sequence[str] = (),
) -> Reading:
    """Return how a fitted model needs a table to be read.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
    separator, encoding, decimal, na_values, header, allow_empty
        As for :func:`fastmlp.tabular.train.read_for`.
    keep : sequence of str, default=()
        Columns that are passed on as they stand.

    Returns
    -------
    Reading

    Raises
    ------
    DataError
        When an option cannot be used.
    """
    targets, earlier = target_names(model), getattr(model, "reading_", {})
    # Numbers in a foreign form are text for the reader, and the model converts them, unless the
    # user says how this table writes them.
    text = {
        column["name"]
        for column in model.columns_
        if column["kind"] in ("text", "date", "words")
        or (column.get("number_format") and decimal is None)
    }
    for target, form in zip(targets, target_forms(model), strict=True):
        if (form and decimal is None) or (
            is_classifier(model) and model.classes_.dtype.kind in "US"
        ):
            text.add(target)
    reading = Reading(
        separator=separator,
        encoding=encoding,
        decimal=decimal or earlier.get("decimal"),
        na_values=[*getattr(model, "na_values_", ()), *listed(na_values)],
        header=earlier.get("header", True) if header is None else header,
        verbatim=set(earlier.get("text", ())),
        as_text=text,
        levels=level_columns(model),
        targets=targets,
        task="regression",  # the model knows whether its target is text
        allow_empty=allow_empty,
        keep=keep,
        known={column["name"] for column in model.columns_} | {*targets},
    )
    if not reading.header and earlier.get("header", True):
        raise DataError(
            "the model was trained on a table with names of columns, and finds them by these "
            f"({_first_names(model)}); add a line of names above the rows, without header=False"
        )
    if not reading.header:
        reading.names = _names_by_number(model, earlier["n_columns"])
    return reading


def level_columns(model: Any) -> set[str]:
    """Return the names of the columns whose text a fitted model encodes by its levels."""
    return {column["name"] for column in model.columns_ if column["kind"] == "text"}


def _first_names(model: Any) -> str:
    names = [str(column["name"]) for column in model.columns_]
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")


def _names_by_number(model: Any, n_columns: int) -> dict[int, list[str]]:
    """Return the names of columns without names, by how many there are.

    There can be as many as in training, the target may be left out, and so may further columns
    that the model was not trained on. They come in the order of the file that was trained on,
    even if the columns of its frame were put in another one.
    """
    names = [str(i) for i in range(1, n_columns + 1)]
    known = {column["name"] for column in model.columns_}
    features = [name for name in names if name in known]
    if len(features) < len(known):
        raise DataError(
            "the model was trained on a table without names of columns, which were renamed later; "
            "give the columns these names and use header=True, or predict from a data frame"
        )
    without_target = [name for name in names if name not in target_names(model)]
    return {len(features): features, len(without_target): without_target, n_columns: names}
