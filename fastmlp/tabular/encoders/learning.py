"""What is learned of the numbers and levels of a table, as fitted attributes of a preprocessor."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .assembly import lay_out, make_inputs
from .bins import Pieces, bins_of_each, pieces_between, quantile_edges, tree_edges
from .levels import level_table
from .means import LevelMeans
from .recurring import (
    candidate_values,
    codes_of_values,
    rows_to_judge_by,
    telling_values,
)
from .scaling import Scaling, learn_scaling, learn_unsquashed
from .target import Target, read_folds

# Rows by which quantiles and the edges of pieces are chosen.
_SAMPLE_ROWS = 100_000
_EDGE_ROWS = 5_000


def learn_inputs(
    settings: Any,
    numbers: NDArray[np.float64],
    traits: Sequence[tuple[bool, bool, bool]],
    codes: NDArray[np.intp],
    n_levels: Sequence[tuple[int, int]],
    target: Target | None,
    folds: Any,
) -> tuple[dict[str, Any], list[LevelMeans | None]]:
    """Learn how numbers and levels become inputs.

    Parameters
    ----------
    settings : TabularPreprocessor
        Its parameters are used.
    numbers : ndarray of shape (n_rows, n_numbers), float64
        Not-a-number is missing.
    traits : sequence of tuple of bool
        For each number, whether it may have pieces, whether it may have an indicator, and whether
        it may have means by value.
    codes : ndarray of shape (n_rows, n_text_columns), int
    n_levels : sequence of tuple of int
        For each text column the number of levels with inputs of their own, and the number of
        levels with means, which is 0 for a column without means.
    target : Target or None
        None where no parameter makes use of it.
    folds : array-like of shape (n_rows,) or None

    Returns
    -------
    attributes : dict
    means : list of LevelMeans or None
        What makes the means of the training rows: for each text column, or None for one without
        means, and then for each number with means.
    """
    attributes, widths = _learn_numbers(settings, numbers, traits, target)
    tables = [
        level_table(np.minimum(codes[:, i], n_hot), n_hot) for i, (n_hot, _) in enumerate(n_levels)
    ]
    widths["base"] += sum(table.shape[1] for table in tables)
    means: list[LevelMeans | None] = [None] * len(n_levels)
    values: dict[int, NDArray[np.float32]] = {}
    if target is not None and (settings.number_means or any(n for _, n in n_levels)):
        averaged = target.averaged()
        of_rows = read_folds(folds, len(numbers), settings.random_state)
        for i, (_, n_with_means) in enumerate(n_levels):
            if n_with_means:
                means[i] = LevelMeans.learn(codes[:, i], n_with_means, averaged, of_rows)
        if settings.number_means and averaged.shape[1]:
            candidates = [j for j, (_, _, may_have_means) in enumerate(traits) if may_have_means]
            without = {**attributes, "level_inputs_": tables, "groups_": lay_out(widths)}
            values = _choose_values(without, numbers, codes, candidates, averaged, of_rows)
        of_values = codes_of_values(numbers, list(values), list(values.values()))
        for i, known in enumerate(values.values()):
            means.append(LevelMeans.learn(of_values[:, i], len(known), averaged, of_rows))
    none = np.empty((0, 0), dtype=np.float32)
    of_levels = [none if found is None else found.table() for found in means]
    widths["base"] += sum(table.shape[1] for table in of_levels)
    attributes |= {
        "level_inputs_": tables,
        "level_means_": of_levels[: len(n_levels)],
        "number_mean_columns_": np.array(list(values), dtype=np.int64),
        "number_mean_values_": list(values.values()),
        "number_means_": of_levels[len(n_levels) :],
        "groups_": lay_out(widths),
    }
    return attributes, means


def _choose_values(
    attributes: dict[str, Any],
    numbers: NDArray[np.float64],
    codes: NDArray[np.intp],
    columns: Sequence[int],
    averaged: NDArray[np.float64],
    folds: NDArray[np.intp],
) -> dict[int, NDArray[np.float32]]:
    """Choose the numbers that have means by value, and these values, beside all other inputs."""
    values = candidate_values(numbers, columns)
    if not values:
        return values
    none = np.empty(0, dtype=np.int64)
    fitted = SimpleNamespace(
        **attributes, level_means_=[], number_mean_columns_=none, number_mean_values_=[],
        number_means_=[],
    )  # fmt: skip
    start, stop = attributes["groups_"]["base"]
    stop = attributes["groups_"].get("bins", (start, stop))[1]
    rows = rows_to_judge_by(len(numbers), stop - start)
    inputs = make_inputs(fitted, numbers[rows], codes[rows])[:, start:stop]
    return telling_values(values, numbers[rows], inputs, averaged[rows], folds[rows])


def _learn_numbers(
    settings: Any,
    numbers: NDArray[np.float64],
    traits: Sequence[tuple[bool, bool, bool]],
    target: Target | None,
) -> tuple[dict[str, Any], dict[str, int]]:
    """Learn how numbers become inputs, and how many there are in each group."""
    rng = np.random.default_rng(0)
    sample = _drawn(rng, np.arange(len(numbers)), _SAMPLE_ROWS)
    scaling = learn_scaling(numbers, settings.scaling, sample)
    bendable, telling, _ = np.array(traits, dtype=bool).reshape(-1, 3).T
    gaps = np.flatnonzero(np.isnan(numbers).any(axis=0) & telling)
    varying = np.flatnonzero((scaling.scales != 0) & ~scaling.is_binary)
    bends = varying[bendable[varying]]
    widths = {"base": numbers.shape[1] + len(gaps)}
    pieces = []
    rows = _drawn(rng, sample, _EDGE_ROWS)
    for group, how in (("tree", "tree"), ("bins", "quantile")):
        if settings.n_bins and settings.bin_edges in (how, "both"):
            y = target if how == "tree" else None
            pieces.append(_learn_pieces(settings.n_bins, numbers, scaling, bends, rows, y))
            widths[group] = len(pieces[-1].columns)
    linear = varying if settings.linear else varying[:0]
    if settings.linear:
        widths["linear"] = len(linear)
    unsquashed = learn_unsquashed(numbers, scaling, linear)
    return {
        "fill_values_": scaling.fills,
        "centres_": scaling.centres,
        "scales_": scaling.scales,
        "is_binary_": scaling.is_binary,
        "indicator_columns_": gaps.astype(np.int64),
        "indicator_values_": np.tile([0.0, 1.0], (len(gaps), 1)),
        "piece_columns_": _joined([p.columns for p in pieces], np.int64),
        "piece_starts_": _joined([p.starts for p in pieces], np.float64),
        "piece_widths_": _joined([p.widths for p in pieces], np.float64),
        "linear_columns_": linear.astype(np.int64),
        "linear_means_": unsquashed.centres,
        "linear_scales_": unsquashed.scales,
    }, widths


def _drawn(rng: np.random.Generator, rows: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """Draw rows if there are too many, and keep their order."""
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))


def _joined(parts: list[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    return np.concatenate([np.empty(0, dtype=dtype), *parts])


def _learn_pieces(
    n_bins: int,
    numbers: NDArray[np.float64],
    scaling: Scaling,
    columns: NDArray[np.intp],
    rows: NDArray[np.intp],
    target: Target | None,
) -> Pieces:
    """Choose the pieces of some columns, by a tree if there is a target."""
    most = bins_of_each(n_bins, len(columns))
    edges = [np.empty(0)] * numbers.shape[1]
    if most:
        x = scaling.apply(numbers[rows])
        for j in columns:
            is_there = ~np.isnan(numbers[rows, j])
            if target is None:
                edges[j] = quantile_edges(x[is_there, j], most)
            else:
                y = target.values[rows][is_there]
                edges[j] = tree_edges(x[is_there, j], y, most, target.n_classes > 0)
    return pieces_between(edges)
