"""Preprocessors of version 0.1, which held transformers of scikit-learn."""

from typing import Any

import numpy as np

from .encoders.scaling import squash

# What is empty in all of them.
_NONE_THEN = ("piece_starts_", "piece_widths_", "linear_means_", "linear_scales_")


def without_transformers(state: dict[str, Any]) -> dict[str, Any]:
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
    state = {name: value for name, value in state.items() if name not in names}
    medians = np.empty(0) if imputer is None else np.array(imputer.statistics_, dtype=np.float64)
    means, scales = (
        (np.empty(0), np.empty(0)) if scaler is None else (scaler.mean_, 1 / scaler.scale_)
    )
    n, indicator = len(medians), None if imputer is None else imputer.indicator_
    columns = np.empty(0, dtype=np.int64) if indicator is None else indicator.features_
    if means.shape != scales.shape or means.shape != (n + len(columns),):
        raise ValueError(f"a scaler of {len(means)} numbers does not fit {n} columns")
    both = (np.array([0.0, 1.0]) - means[n:, None]) * scales[n:, None]
    tables = []
    all_codes = [] if encoder is None else encoder.categories_
    for levels, codes in zip(state["levels_"], all_codes, strict=True):
        if not np.isin(codes, np.arange(len(levels) + 1)).all():
            raise ValueError("the encoder has codes that stand for no level")
        table = np.zeros((len(levels) + 1, len(codes)))
        table[codes.astype(np.intp), np.arange(len(codes))] = squash(np.ones(len(codes)))
        tables.append(table.astype(np.float32))
    n_inputs = len(means) + sum(table.shape[1] for table in tables)
    return {
        **state,
        "fill_values_": medians,
        "centres_": means[:n],
        "scales_": scales[:n],
        "is_binary_": np.zeros(n, dtype=bool),
        "indicator_columns_": np.asarray(columns, dtype=np.int64),
        "indicator_values_": squash(both),
        "level_inputs_": tables,
        "level_means_": [np.empty((len(t), 0), dtype=np.float32) for t in tables],
        **dict.fromkeys(("piece_columns_", "linear_columns_"), np.empty(0, dtype=np.int64)),
        **dict.fromkeys(_NONE_THEN, np.empty(0)),
        "groups_": {"base": (0, n_inputs)},
    }
