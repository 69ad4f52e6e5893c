"""Input gradients of models of tables: the chain rule against differences of predictions."""

import warnings

import numpy as np
import pandas as pd
import pytest

from fastmlp import InputError, TabularClassifier, TabularRegressor, input_gradients
from fastmlp.tabular.encoders.assembly import make_inputs
from fastmlp.tabular.encoders.slopes import number_gradients

RNG = np.random.default_rng(0)
N = 160
FRAME = pd.DataFrame({
    "width": RNG.normal(10, 3, N),
    "city": RNG.choice(["Rome", "Oslo", "Lima"], N),
    "height": RNG.uniform(-1, 1, N),
    "is_new": RNG.integers(0, 2, N),
    "built": pd.Timestamp("2020-01-01") + pd.to_timedelta(RNG.integers(0, 900, N), unit="D"),
})  # fmt: skip
NUMERIC = ["width", "height", "is_new"]
NUMBERS = FRAME["width"] / 3 + np.sin(2 * FRAME["height"]) + FRAME["is_new"]
CLASSES = pd.Series(np.digitize(NUMBERS, np.quantile(NUMBERS, [0.3, 0.7])))
NAMES = CLASSES.map({0: "low", 1: "mid", 2: "top"})
SINGLE = {"hidden_layer_sizes": (8,), "activation": "tanh", "max_iter": 15, "random_state": 0}


def fitted(cls, y, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cls(**(options or SINGLE)).fit(FRAME, y)


def differences(predict, name, frame=FRAME):
    """Central differences of a function of the table; a step is wide for float32's sake."""
    step = 0.01 * frame[name].std()
    below, above = (frame.assign(**{name: frame[name] + k * step}) for k in (-1, 1))
    return (np.asarray(predict(above), float) - np.asarray(predict(below), float)) / (2 * step)


def assert_close(found, expected):
    """Nearly everywhere: some steps cross an edge between two pieces, or a kink of relu."""
    scale = np.abs(expected).max()
    assert scale > 0
    near = np.abs(found - expected) <= 0.02 * np.abs(expected) + 0.01 * scale
    assert near.mean() > 0.85, np.abs(found - expected) / scale


@pytest.mark.parametrize("options", [SINGLE, {"members": 4, "random_state": 0}])
def test_probabilities_of_classes(options):
    for y in (NAMES, NAMES == "top"):
        model = fitted(TabularClassifier, y, **options)
        for k, label in enumerate(model.classes_):
            found = input_gradients(model, FRAME, label)
            assert list(found.columns) == NUMERIC and found.index.equals(FRAME.index)
            for name in ("width", "height"):
                assert_close(found[name], differences(model.predict_proba, name)[:, k])


@pytest.mark.parametrize("options", [SINGLE, {"members": 4, "random_state": 0}])
@pytest.mark.parametrize("target", ["plain", "heavy"])
def test_predictions_of_numbers(target, options):
    y = NUMBERS if target == "plain" else np.exp(1.5 * NUMBERS)
    model = fitted(TabularRegressor, y, **options)
    if "members" in options and target == "heavy":
        assert any(member.log_target for member in model.estimator_.members)
    found = input_gradients(model, FRAME)
    for name in ("width", "height"):
        assert_close(found[name], differences(model.predict, name))


def test_by_default_it_is_the_predicted_class():
    for y, options in ((NAMES, {}), (NAMES == "top", {"threshold": "f1"})):
        model = fitted(TabularClassifier, y, members=3, random_state=0, **options)
        predicted, found = model.predict(FRAME), input_gradients(model, FRAME)
        for label in model.classes_:
            rows = predicted == label
            assert rows.any()
            expected = input_gradients(model, FRAME, label)[rows]
            np.testing.assert_allclose(found[rows], expected, rtol=1e-6, atol=1e-12)


def test_quantiles_are_chosen_by_number():
    model = fitted(TabularRegressor, NUMBERS, quantiles=[0.2, 0.8], loss="quantile", **SINGLE)
    for k in range(2):
        found = input_gradients(model, FRAME, output=k)
        assert_close(found["width"], differences(model.predict, "width")[:, k])
    with pytest.raises(InputError, match="2 quantiles; choose the output of one"):
        input_gradients(model, FRAME)
    with pytest.raises(InputError, match="output=2 is none of the outputs 0 to 1"):
        input_gradients(model, FRAME, output=2)
    with pytest.raises(InputError, match="the number of an output, got 'b'"):
        input_gradients(model, FRAME, output="b")


@pytest.mark.parametrize(
    "options",
    [{"hidden_layer_sizes": (8,), "activation": "tanh", "max_iter": 1}, {"members": 2}],
)
def test_quantiles_are_differentiated_in_their_order(options):
    levels = [0.3, 0.5, 0.7]
    model = fitted(TabularRegressor, NUMBERS, loss="quantile", quantiles=levels, random_state=0,
                   **options)  # fmt: skip
    # Wherever the offsets come from, they may reverse the order of some rows.
    model.quantile_offsets_ = np.array([0.6, 0.0, -0.6])
    raw = model._in_units(model.estimator_.predict(model._inputs(FRAME)))
    is_crossed = (np.diff(raw, axis=1) < 0).any(axis=1)
    assert is_crossed.any()
    for k in range(3):
        found = input_gradients(model, FRAME, output=k)
        expected = differences(model.predict, "width")[:, k]
        assert_close(found["width"][is_crossed], expected[is_crossed])


def test_scores_of_a_single_network():
    model = fitted(TabularClassifier, NAMES == "top")
    found = input_gradients(model, FRAME, True, of="score")

    def log_odds(X):
        p = model.predict_proba(X).astype(float)
        return np.log(p[:, 1] / p[:, 0])

    assert_close(found["width"], differences(log_odds, "width"))
    np.testing.assert_array_equal(input_gradients(model, FRAME, False, of="score"), -found)


def test_every_step_of_the_chain():
    """Against differences of the preprocessor's own inputs, one number after the other."""
    model = fitted(TabularRegressor, NUMBERS, members=3, random_state=0)
    fitted_ = model.preprocessor_
    assert fitted_.groups_.keys() >= {"base", "bins", "linear"}
    scales = np.where(fitted_.scales_ > 0, fitted_.scales_, 1)
    spread = np.random.default_rng(1).uniform(-2, 2, (200, len(scales)))
    numbers = fitted_.centres_ + spread / scales
    codes = np.zeros((200, len(fitted_.levels_)), dtype=np.intp)
    weights = np.random.default_rng(2).normal(
        size=max(stop for _, stop in fitted_.groups_.values())
    )
    found = number_gradients(fitted_, numbers, np.tile(weights, (200, 1)))
    for j in np.flatnonzero(~fitted_.is_binary_ & (fitted_.scales_ > 0)):
        step = np.zeros(numbers.shape[1])
        step[j] = 1e-3 / fitted_.scales_[j]
        above, below = (
            make_inputs(fitted_, numbers + k * step, codes).astype(float) @ weights for k in (1, -1)
        )
        expected = (above - below) / (2 * step[j])
        near = np.isclose(found[:, j], expected, rtol=0.01, atol=0.01 * np.abs(expected).max())
        assert near.mean() > 0.9


def test_a_column_of_two_values_has_the_slope_between_them():
    model = fitted(TabularRegressor, NUMBERS, hidden_layer_sizes=(), max_iter=60, random_state=0)
    assert not model.preprocessor_.groups_.keys() & {"tree", "bins"}
    found = input_gradients(model, FRAME)["is_new"]
    new, old = (model.predict(FRAME.assign(is_new=value)) for value in (1, 0))
    np.testing.assert_allclose(found, new - old, rtol=1e-4)


def test_missing_values_have_no_gradient():
    model = fitted(TabularRegressor, NUMBERS)
    frame = FRAME.copy()
    frame.loc[3, "width"] = np.nan
    found = input_gradients(model, frame)
    assert np.isnan(found.loc[3, "width"]) and found.isna().to_numpy().sum() == 1
    times = input_gradients(model, frame, times_input=True)
    pd.testing.assert_frame_equal(times, found * frame[NUMERIC])
    as_dicts = input_gradients(model, frame.to_dict("records"))
    np.testing.assert_array_equal(as_dicts, found)


def test_huge_numbers_have_no_slope():
    model = fitted(TabularRegressor, NUMBERS)
    found = input_gradients(model, FRAME.assign(width=1e300))
    assert (found["width"] == 0).all() and (found["height"] != 0).any()


def test_rows_do_not_depend_on_others(monkeypatch):
    from fastmlp.tabular import column_gradients

    model = fitted(TabularClassifier, NAMES, members=3, random_state=0)
    found = input_gradients(model, FRAME)
    monkeypatch.setattr(column_gradients, "_ROWS_AT_A_TIME", 7)
    np.testing.assert_array_equal(input_gradients(model, FRAME), found)


def test_what_is_not_defined_is_refused():
    pack = fitted(TabularClassifier, NAMES, members=2, random_state=0)
    with pytest.raises(InputError, match="a single network"):
        input_gradients(pack, FRAME, of="score")
    with pytest.raises(InputError, match="none of the model's classes: 'low', 'mid', 'top'"):
        input_gradients(pack, FRAME, "high")
    with pytest.raises(InputError, match="use class_ for a classifier"):
        input_gradients(pack, FRAME, output=0)
    several = fitted(TabularRegressor, pd.DataFrame({"a": NUMBERS, "b": -NUMBERS}))
    with pytest.raises(
        InputError, match="2 targets, and a model for each; pass one of its models_"
    ):
        input_gradients(several, FRAME)
    assert input_gradients(several.models_[0], FRAME).shape == (N, 3)
    with pytest.raises(InputError, match="this is a regressor"):
        input_gradients(several.models_[0], FRAME, 1)
    from sklearn.linear_model import LinearRegression

    with pytest.raises(InputError, match="not LinearRegression; of a pipeline"):
        input_gradients(LinearRegression(), FRAME)


def test_a_table_of_text_has_no_gradients():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = TabularRegressor(**SINGLE).fit(FRAME[["city"]], NUMBERS)
    with pytest.raises(InputError, match="uses no numeric column"):
        input_gradients(model, FRAME[["city"]])
