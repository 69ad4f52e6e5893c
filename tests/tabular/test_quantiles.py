"""Quantiles of a table's target: their loss, their correction by unseen rows, files and ONNX."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_pinball_loss

from fastmlp import TabularRegressor, load_model, save_model, train_table
from fastmlp.tabular.quantiles import conformal_offsets, pinball_loss, quantile_metrics

LEVELS = (0.1, 0.5, 0.9)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """A table whose noise grows with one of its columns."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (400, 2))
    noise = rng.standard_exponential(400) * (0.2 + x[:, 1])
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": 3 * x[:, 0] + noise})


@pytest.fixture(scope="module")
def model(table: pd.DataFrame) -> TabularRegressor:
    return train_table(table, loss="quantile", quantiles=LEVELS, members=16)


def test_pinball_loss_is_the_mean_of_scikit_learn_s() -> None:
    rng = np.random.default_rng(1)
    y, predicted, weight = rng.normal(size=20), rng.normal(size=(20, 3)), rng.uniform(size=20)
    expected = np.mean(
        [
            mean_pinball_loss(y, column, alpha=level, sample_weight=weight)
            for level, column in zip(LEVELS, predicted.T, strict=True)
        ]
    )
    assert pinball_loss(predicted, y, LEVELS, weight) == pytest.approx(expected)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    st.integers(1, 60),
    st.floats(0.02, 0.98),
    st.floats(-5, 5),
    st.integers(0, 2**32 - 1),
)
def test_a_corrected_quantile_has_its_share_of_the_rows(
    n_rows: int, level: float, shift: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    values, predicted = rng.normal(size=n_rows), rng.normal(size=n_rows) + shift
    (offset,) = conformal_offsets(values, predicted, (level,))
    below = np.sum(values - predicted <= offset + 1e-12)
    # The rank is rounded away from the median, and there is no row beyond the last.
    rank = (n_rows + 1) * level
    expected = np.floor(rank + 1e-9) if level < 0.5 else np.ceil(rank - 1e-9)
    assert below == np.clip(expected, 1, n_rows)


def test_rows_count_by_their_weight() -> None:
    values, predicted = np.arange(10.0), np.zeros(10)
    weight = np.where(values < 5, 3.0, 0.0)
    (offset,) = conformal_offsets(values, predicted, (0.5,), weight)
    assert offset == 2.0
    repeated = np.repeat(values[:5], 2)
    assert conformal_offsets(repeated, np.zeros(10), (0.5,))[0] == offset


def test_a_pack_covers_the_rows_that_it_should(model: TabularRegressor) -> None:
    rng = np.random.default_rng(7)
    x = rng.uniform(0, 1, (3000, 2))
    y = 3 * x[:, 0] + rng.standard_exponential(3000) * (0.2 + x[:, 1])
    predicted = model.predict(pd.DataFrame({"a": x[:, 0], "b": x[:, 1]}))
    metrics = quantile_metrics(y, predicted, LEVELS)
    for level in LEVELS:
        assert metrics[f"below_{level:g}"] == pytest.approx(level, abs=0.08)
    assert (np.diff(predicted, axis=1) >= 0).all()
    # The width follows the noise: the true interval is (0.2 + b) times a constant.
    width = predicted[:, 2] - predicted[:, 0]
    assert width[x[:, 1] > 0.8].mean() > 1.8 * width[x[:, 1] < 0.2].mean()


def test_what_is_reported_is_about_quantiles(model: TabularRegressor) -> None:
    test, baseline = model.report_["test"], model.report_["baseline"]
    assert test.keys() == baseline.keys() == {"pinball_loss", "below_0.1", "below_0.5", "below_0.9"}
    assert test["pinball_loss"] < 0.6 * baseline["pinball_loss"]


def test_quantiles_are_saved(model: TabularRegressor, table: pd.DataFrame, tmp_path) -> None:
    save_model(model, tmp_path / "m.fastmlp")
    loaded = load_model(tmp_path / "m.fastmlp")
    X, y = table.drop(columns="y"), table["y"]
    assert np.array_equal(loaded.predict(X), model.predict(X))
    assert loaded.predict(X[:0]).shape == (0, 3)
    assert 0.3 < loaded.score(X, y) < 1


def test_one_level_gives_a_vector(table: pd.DataFrame) -> None:
    X, y = table.drop(columns="y"), table["y"]
    model = TabularRegressor(loss="quantile", quantiles=0.9, members=2).fit(X, y)
    assert model.predict(X).shape == (400,)
    assert model.quantile_offsets_.shape == (1,)
    assert np.mean(y <= model.predict(X)) > 0.8


def test_a_single_network_predicts_several_quantiles(table: pd.DataFrame) -> None:
    X, y = table.drop(columns="y"), table["y"]
    model = TabularRegressor(8, loss="quantile", quantiles=[0.2, 0.8], lr_schedule="cosine").fit(
        X, y
    )
    assert model.predict(X).shape == (400, 2)
    assert not hasattr(model, "quantile_offsets_")


def test_levels_without_the_loss_of_quantiles_are_refused(table: pd.DataFrame) -> None:
    model = TabularRegressor(quantiles=[0.1, 0.9])
    with pytest.raises(ValueError, match=r"quantiles=\[0.1, 0.9\] are predicted with loss='quant"):
        model.fit(table[["a", "b"]], table["y"])
