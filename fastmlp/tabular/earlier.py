"""Preprocessors of earlier versions, the first of which held transformers of scikit-learn."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .encoders.scaling import squash

# What is empty in all of them.
_NO_NUMBERS = ("piece_starts_", "piece_widths_", "linear_means_", "linear_scales_")
_NO_PLACES = ("piece_columns_", "linear_columns_")


def in_this_version(state: dict[str, Any]) -> dict[str, Any]:
    """Turn the attributes of a preprocessor of any version, fitted or not, into those of this one.

    Raises
    ------
    ValueError
        When parts of it do not fit each other.
    """
    state = _without_transformers(state)
    if "level_means_" not in state:
        return state
    none: dict[str, Any] = {  # these came later
        "number_mean_columns_": np.empty(0, dtype=np.int64),
        "number_mean_values_": [],
        "number_means_": [],
    }
    return state | {name: value for name, value in none.items() if name not in state}


def _without_transformers(state: dict[str, Any]) -> dict[str, Any]:
    """Turn the fitted attributes of version 0.1 into those of this version.

    All inputs were standardised or one-hot, and then squashed, so that indicators and levels have
    other values than 0 and 1.

    Parameters
    ----------
    state : dict
        The attributes of a preprocessor, of this version or of version 0.1.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        When the sizes of the transformers do not fit each other.
    """
    if "imputer_" not in state:
        return state
    names = ("imputer_", "scaler_", "encoder_")
    imputer, scaler, encoder = (state[name] for name in names)
    numbers = _of_numbers(imputer, scaler)
    tables = _of_levels(encoder, state["levels_"])
    n_inputs = len(numbers["centres_"]) + len(numbers["indicator_columns_"])
    n_inputs += sum(table.shape[1] for table in tables)
    return {
        **{name: value for name, value in state.items() if name not in names},
        **numbers,
        "date_parts_": [],
        **{f"word_{name}_": [] for name in ("terms", "weights", "components")},
        "level_inputs_": tables,
        "level_means_": [np.empty((0, 0), dtype=np.float32) for _ in tables],
        **{name: np.empty(0, dtype=np.int64) for name in _NO_PLACES},
        **{name: np.empty(0) for name in _NO_NUMBERS},
        "groups_": {"base": (0, n_inputs)},
    }


def _require_fit(condition: Any) -> None:
    if not condition:
        raise ValueError("the transformers of columns do not fit each other")


def _of_numbers(imputer: Any, scaler: Any) -> dict[str, Any]:
    """Return what an imputer and a scaler have learned of numbers."""
    _require_fit((imputer is None) == (scaler is None))
    medians = means = scales = np.empty(0)
    gaps = np.empty(0, dtype=np.int64)
    n = 0
    if imputer is not None:
        medians, indicator = imputer.statistics_.astype(np.float64), imputer.indicator_
        n = len(medians)
        _require_fit(imputer.n_features_in_ == n and np.isfinite(medians).all())
        if indicator is not None:
            gaps = indicator.features_.astype(np.int64)
            _require_fit(indicator.n_features_in_ == indicator._n_features == n)
        shapes = {scaler.mean_.shape, scaler.var_.shape, scaler.scale_.shape}
        _require_fit(scaler.n_features_in_ == n + len(gaps) and shapes == {(n + len(gaps),)})
        means, scales = scaler.mean_, 1 / scaler.scale_
    both = (np.array([0.0, 1.0]) - means[n:, None]) * scales[n:, None]
    return {
        "fill_values_": medians,
        "centres_": means[:n],
        "scales_": scales[:n],
        "is_binary_": np.zeros(n, dtype=bool),
        "indicator_columns_": gaps,
        "indicator_values_": squash(both),
    }


def _of_levels(encoder: Any, levels: list[list[str]]) -> list[NDArray[np.float32]]:
    """Return the inputs of the levels of each text column."""
    all_codes = [] if encoder is None else encoder.categories_
    _require_fit(len(all_codes) == len(levels))
    if encoder is not None:
        sizes = [len(codes) for codes in all_codes]
        _require_fit(encoder.n_features_in_ == len(sizes) and encoder._n_features_outs == sizes)
    tables = []
    for of_column, codes in zip(levels, all_codes, strict=True):
        # The last code stands for all levels that are rare or unknown.
        is_known = np.isin(codes, np.arange(len(of_column) + 1)).all()
        _require_fit(is_known and len(codes) and np.array_equal(np.unique(codes), codes))
        table = np.zeros((len(of_column) + 1, len(codes)), dtype=np.float32)
        table[codes.astype(np.intp), np.arange(len(codes))] = squash(np.ones(1))
        tables.append(table)
    return tables
