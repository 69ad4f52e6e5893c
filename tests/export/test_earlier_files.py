"""Files of version 0.1, which have transformers of scikit-learn, made with intent."""

import io

import numpy as np
import pytest
from crafted import each_array, npy, plain, refused

N = np.nan


def test_objects_stand_in_their_places_alone_in_earlier_files(earlier_table, tmp_path):
    net, frame = earlier_table.node("estimator_"), earlier_table.node("preprocessor_")
    encoder, scaler = (
        earlier_table.node("preprocessor_", name) for name in ("encoder_", "scaler_")
    )
    swaps = [
        (encoder, "preprocessor_", "scaler_"), (scaler, "preprocessor_", "imputer_"),
        (net, "preprocessor_", "encoder_"), (scaler, "lr_schedule"), (scaler, "columns_", 0),
        (encoder, "estimator_", "_label_binarizer"), (frame, "preprocessor_", "encoder_"),
        (scaler, "preprocessor_", "scales_"),
    ]  # fmt: skip
    for what, *names in swaps:
        crafted = earlier_table.copy()
        crafted.put(what, *names)
        refused(crafted.write(tmp_path / "evil"))


OF_EARLIER_FILES = {
    ("preprocessor_", "encoder_"): None, ("preprocessor_", "imputer_"): None,
    ("preprocessor_", "scaler_"): None, ("preprocessor_", "levels_"): [],
    ("preprocessor_", "levels_", 0): ["green", "green"],
    ("preprocessor_", "imputer_", "strategy"): "constant",
    ("preprocessor_", "imputer_", "missing_values"): 0,
    ("preprocessor_", "imputer_", "add_indicator"): False,
    ("preprocessor_", "imputer_", "n_features_in_"): 3,
    ("preprocessor_", "imputer_", "indicator_"): None,
    ("preprocessor_", "imputer_", "indicator_", "features"): "all",
    ("preprocessor_", "scaler_", "with_mean"): False,
    ("preprocessor_", "scaler_", "n_samples_seen_"): "x",
    ("preprocessor_", "encoder_", "handle_unknown"): "error",
    ("preprocessor_", "encoder_", "sparse_output"): True,
    ("preprocessor_", "encoder_", "_n_features_outs"): [1],
    ("preprocessor_", "encoder_", "drop_idx_"): 0,
    ("preprocessor_", "encoder_", "_sklearn_output_config"): {"transform": "pandas"},
}  # fmt: skip


@pytest.mark.parametrize("names", OF_EARLIER_FILES, ids=str)
def test_values_that_do_not_fit_are_refused_in_earlier_files(earlier_table, tmp_path, names):
    earlier_table.put(plain(OF_EARLIER_FILES[names]), *names)
    refused(earlier_table.write(tmp_path / "evil"))


ARRAYS_OF_EARLIER_FILES = {
    ("preprocessor_", "imputer_", "statistics_"): [np.ones(3), np.array([N, 1]), np.ones(2, int)],
    ("preprocessor_", "imputer_", "indicator_", "features_"): [
        np.array([2]), np.array([-1]), np.array([0, 0]), np.array([1, 0]), np.array([0.0]),
        np.array([0, 1]), np.array([10**12]),
    ],
    ("preprocessor_", "imputer_", "_fit_dtype", "file"): [np.ones(0, "f4"), np.ones(0, "O")],
    ("preprocessor_", "scaler_", "mean_"): [np.ones(2), np.ones(4), np.ones((3, 1))],
    ("preprocessor_", "scaler_", "scale_"): [np.ones(2), np.ones(3, int)],
    ("preprocessor_", "encoder_", "categories_", 0): [
        np.array([0.0, 1, 9]), np.array([2.0, 1, 0]), np.array([0.0, 1]), np.array([0.0, 0.5, 1]),
        np.array([N, 1, 2]), np.zeros(0), np.arange(3),
    ],
}  # fmt: skip


@each_array(ARRAYS_OF_EARLIER_FILES)
def test_arrays_that_do_not_fit_are_refused_in_earlier_files(earlier_table, tmp_path, names, value):
    if names[-1] == "file":
        member = earlier_table.node(*names[:-1])["content"]["file"]
    else:
        member = earlier_table.node(*names)["file"]
    if value.dtype == object:
        file = io.BytesIO()
        np.save(file, value, allow_pickle=True)
        earlier_table.members[member] = file.getvalue()
    else:
        earlier_table.members[member] = npy(value)
    refused(earlier_table.write(tmp_path / "evil"))
