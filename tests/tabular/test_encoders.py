"""How numbers and levels become inputs: scales, pieces, means of the target."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from fastmlp import TabularPreprocessor, load_model, save_model
from fastmlp.exceptions import DataError
from fastmlp.tabular.encoders.bins import bins_of_each, pieces_between, quantile_edges, tree_edges
from fastmlp.tabular.encoders.means import LevelMeans
from fastmlp.tabular.encoders.scaling import squash

ALL = {"n_bins": 12, "bin_edges": "both", "target_means": True, "linear": True}


def table(n=600, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "size": rng.normal(5, 2, n),
            "gain": np.where(rng.random(n) < 0.8, 0.0, rng.exponential(1000, n)),
            "age": rng.integers(18, 24, n),
            "member": rng.choice([3.0, 8.0], n),
            "town": [f"town {i}" for i in rng.integers(0, 40, n)],
            "wood": rng.choice(["ash", "fir", "oak"], n),
        }
    )
    frame.loc[::7, "size"] = np.nan
    return frame


def named(prepared, inputs):
    return dict(zip(prepared.get_feature_names_out(), inputs.T, strict=True))


# ---- scales ------------------------------------------------------------------------------


def test_a_column_of_mostly_zeros_does_not_vanish():
    frame = table()
    columns = named(prepared := TabularPreprocessor().fit(frame), prepared.transform(frame))
    gain = columns["gain"]
    assert gain[frame["gain"] == 0].max() == 0
    first, third = np.quantile(frame["gain"][frame["gain"] > 0], [0.25, 0.75])
    np.testing.assert_allclose(gain, squash(frame["gain"] / third), rtol=1e-6)
    assert first > 0 and gain.std() > 0.3


def test_two_values_are_minus_one_and_one():
    frame = table()
    frame.loc[3, "member"] = np.nan
    prepared = TabularPreprocessor().fit(frame)
    new = frame.head(5).assign(member=[3, 8, np.nan, 5.5, 1e9])
    columns = named(prepared, prepared.transform(new))
    np.testing.assert_array_equal(columns["member"], [-1, 1, 0, 0, 1])
    np.testing.assert_array_equal(columns["missing_member"], [0, 0, 1, 0, 0])


@pytest.mark.parametrize("values", [["yes", "no"], ["yes", None], ["b", "a"]])
def test_two_levels_have_one_input(values):
    frame = table().assign(wood=(values * 300))
    prepared = TabularPreprocessor().fit(frame[["wood"]])
    inputs = prepared.transform(frame[["wood"]])
    assert inputs.shape == (600, 1) and set(inputs[:, 0]) == {-1, 1}
    assert len(np.unique(inputs[::2])) == 1
    if None not in values:  # which is the group of all others
        new = pd.DataFrame({"wood": ["maybe", None]})
        np.testing.assert_array_equal(prepared.transform(new)[:, 0], [0, 0])


def test_a_column_that_varies_by_rounding_only_is_constant():
    frame = table().assign(size=1e6 + np.arange(600) % 3 * 1e-10)
    columns = named(prepared := TabularPreprocessor(**ALL).fit(frame, frame["age"]),
                    prepared.transform(frame))  # fmt: skip
    assert not columns["size"].any() and "size_bin_1" not in columns


def test_missing_values_count_as_the_median_and_are_told():
    frame = table()
    prepared = TabularPreprocessor().fit(frame)
    columns = named(prepared, prepared.transform(frame))
    is_missing = frame["size"].isna().to_numpy()
    assert not columns["size"][is_missing].any()
    np.testing.assert_array_equal(columns["missing_size"], is_missing)
    assert "missing_gain" not in columns
    full = TabularPreprocessor().fit(frame.dropna())
    new = full.transform(frame.head(1))  # missing for the first time
    assert named(full, new)["size"] == [0]


# ---- pieces ------------------------------------------------------------------------------


def test_pieces_fill_from_the_left():
    pieces = pieces_between([np.array([0.0, 1.0, 3.0]), np.empty(0), np.array([2.0, 4.0, 5.0])])
    x = np.array([[0.5, 9, 3], [2, 9, 9], [-1, 9, -np.inf]])
    expected = [[0.5, 0, 0.5, 0], [1, 0.5, 1, 1], [0, 0, 0, 0]]
    np.testing.assert_array_equal(pieces.apply(x), expected)


def test_edges_of_few_values_are_the_values():
    x = np.repeat([0.0, 0.5, 2.0], 50)
    np.testing.assert_array_equal(quantile_edges(x, 12), [0, 0.5, 2])
    assert len(quantile_edges(x[:100], 12)) == 0  # two values need no piece


def test_a_frequent_value_is_told_from_its_neighbours():
    x = np.concatenate([np.zeros(500), np.linspace(-1, 1, 501)])
    edges = quantile_edges(np.sort(x), 12)
    place = np.flatnonzero(edges == 0).item()
    np.testing.assert_allclose(edges[[place - 1, place + 1]], [-0.004, 0.004])


def test_edges_by_a_tree_are_where_the_target_changes():
    x = np.linspace(0, 1, 1000)
    y = (x > 0.3).astype(float) + 2 * (x > 0.7)
    for is_class in (False, True):
        edges = tree_edges(x, y, 12, is_class)
        np.testing.assert_allclose(edges, [0, 0.3, 0.7, 1], atol=2e-3)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(
    arrays(np.float64, st.integers(2, 60), elements=st.one_of(
        st.floats(-3, 3), st.sampled_from([0.0, 1.0, 1 + 1e-7]))),
    st.integers(2, 14),
)  # fmt: skip
def test_edges_of_any_column(x, n_bins):
    for edges in (quantile_edges(x, n_bins), tree_edges(x, x > 0, n_bins, True)):
        assert len(edges) <= n_bins + 1 and len(edges) != 1 and len(edges) != 2
        assert np.all(np.diff(edges) > 1e-5) and np.isin(edges[:1], x).all()
        filled = pieces_between([edges]).apply(x[:, None])
        assert np.isfinite(filled).all() and filled.min(initial=0) >= 0
        assert filled.max(initial=0) <= 1


def test_many_columns_have_fewer_pieces():
    assert [bins_of_each(12, n) for n in (1, 133, 134, 800, 801)] == [12, 12, 11, 2, 0]
    X = np.random.default_rng(0).normal(size=(60, 200))
    prepared = TabularPreprocessor(n_bins=12).fit(X)
    assert prepared.groups_["bins"] == (200, 1800)


def test_pieces_follow_a_function_that_a_line_cannot():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=800), "z": rng.normal(size=800)})
    y = np.abs(frame["x"]) + (frame["z"] > 0.5) + rng.normal(0, 0.1, 800)
    scores = {
        edges: cross_val_score(
            make_pipeline(TabularPreprocessor(n_bins=bins, bin_edges=edges), LinearRegression()),
            frame, y, cv=3,
        ).mean()
        for bins, edges in ((0, "both"), (12, "quantile"), (12, "tree"))
    }  # fmt: skip
    assert scores["quantile"] > 0.8 > 0.4 + scores["both"] and scores["tree"] > 0.9


# ---- means of the target -----------------------------------------------------------------


def test_means_are_those_of_other_folds():
    codes, folds = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 2, 0, 1, 2])
    y = np.array([1.0, 2.0, 6.0, 4.0, 0.0, 8.0])[:, None]
    learned = LevelMeans.learn(codes, 2, y, folds)
    table, crossed = learned.table(), learned.crossed()

    def means(rows, code):
        count = np.sum(codes[rows] == code) if code < 2 else 0
        total = y[rows][codes[rows] == code].sum() if code < 2 else 0
        mean = (total + 10 * y[rows].mean()) / (count + 10)
        return mean, np.log1p(count * len(y) / np.sum(rows))

    expected = np.array([means(folds != f, c) for c, f in zip(codes, folds, strict=True)])
    centre, deviation = expected.mean(axis=0), expected.std(axis=0)
    np.testing.assert_allclose(crossed, squash((expected - centre) / deviation), rtol=1e-5)
    expected = np.array([means(folds >= 0, code) for code in range(3)])
    np.testing.assert_allclose(table, squash((expected - centre) / deviation), rtol=1e-5)


def test_means_of_a_network_do_not_know_the_rows_that_it_holds_out():
    rng = np.random.default_rng(0)
    codes, folds = rng.integers(0, 30, 400), rng.integers(0, 4, 400)
    y = rng.normal(size=(400, 1))
    changed = np.where(folds[:, None] == 2, rng.normal(size=(400, 1)), y)
    first, second = (LevelMeans.learn(codes, 30, v, folds) for v in (y, changed))
    np.testing.assert_allclose(first.of_other_rows(2), second.of_other_rows(2), atol=1e-12)
    assert not np.allclose(first.of_other_rows(), second.of_other_rows())
    is_held = folds == 2  # these see what they see in any case
    np.testing.assert_array_equal(first.crossed(2)[is_held], first.crossed()[is_held])
    row = int(np.flatnonzero(folds == 0)[0])
    seen = (folds != 0) & (folds != 2)
    total = y[seen & (codes == codes[row])].sum() + 10 * y[seen].mean()
    mean = total / (np.sum(seen & (codes == codes[row])) + 10)
    np.testing.assert_allclose(first.of_other_rows(2)[row, 0], mean)


@pytest.mark.parametrize("n_classes", [0, 2, 3, 10, 11])
def test_how_many_means_there_are(n_classes):
    frame = table()
    y = np.random.default_rng(0).normal(size=600)
    if n_classes:
        y = np.array([f"class {i % n_classes}" for i in range(600)])
    prepared = TabularPreprocessor(target_means=True).fit(frame, y)
    names = [name for name in prepared.get_feature_names_out() if "_mean" in name]
    expected = {0: 1, 2: 1, 3: 3, 10: 10, 11: 0}[n_classes]
    assert len(names) == expected and all(name.startswith("town_mean") for name in names)
    assert "town_log_count" in prepared.get_feature_names_out()
    few = TabularPreprocessor(target_means=3).fit(frame, y).get_feature_names_out()
    assert "wood_log_count" in few


def test_a_row_never_sees_its_own_target():
    frame, rng = table(), np.random.default_rng(0)
    y, folds = rng.normal(size=600), rng.integers(0, 4, 600)
    prepared = TabularPreprocessor(target_means=True, task="regression")
    before = named(prepared, prepared.fit_transform(frame, y, folds=folds))["town_mean"]
    changed = np.where(folds == 2, rng.permutation(y), y)
    changed += y.mean() - changed.mean()
    after = named(prepared, prepared.fit_transform(frame, changed, folds=folds))["town_mean"]
    # Standardisation knows all rows; up to that, the rows of the fold see the same as before.
    same = spearmanr(before[folds == 2], after[folds == 2]).statistic
    assert same > 0.9999 > 0.99 > spearmanr(before[folds != 2], after[folds != 2]).statistic


def test_means_of_many_levels_tell_what_no_other_input_does():
    rng = np.random.default_rng(0)
    effects = rng.normal(size=400)
    towns = rng.integers(0, 400, 3000)
    frame = pd.DataFrame({"town": [f"t{i}" for i in towns], "x": rng.normal(size=3000)})
    y = (effects[towns] + rng.normal(size=3000) > 0).astype(int)
    plain, means = (
        cross_val_score(
            make_pipeline(TabularPreprocessor(target_means=how), LogisticRegression()),
            frame, y, cv=3, scoring="roc_auc",
        ).mean()
        for how in (False, True)
    )  # fmt: skip
    assert means > plain + 0.1


# ---- groups ------------------------------------------------------------------------------


@pytest.mark.parametrize("edges", ["tree", "quantile", "both"])
@pytest.mark.parametrize("linear", [False, True])
def test_groups_stand_in_one_order(edges, linear):
    frame, y = table(), np.arange(600) % 3
    prepared = TabularPreprocessor(n_bins=6, bin_edges=edges, linear=linear)
    inputs = prepared.fit_transform(frame, y)
    names = {"tree": ["tree", "base"], "quantile": ["base", "bins"]}.get(
        edges, ["tree", "base", "bins"]
    ) + ["linear"] * linear
    assert list(prepared.groups_) == names
    stops = [stop for _, stop in prepared.groups_.values()]
    assert [start for start, _ in prepared.groups_.values()] == [0, *stops[:-1]]
    assert inputs.shape == (600, stops[-1]) and inputs.flags.c_contiguous
    assert inputs.dtype == np.float32 and np.isfinite(inputs).all()
    assert len(set(prepared.get_feature_names_out())) == stops[-1]
    start, stop = prepared.groups_["base"]
    alone = TabularPreprocessor().fit_transform(frame)
    np.testing.assert_array_equal(inputs[:, start:stop], alone)


def test_rows_do_not_depend_on_each_other():
    frame, y = table(), np.arange(600) % 2
    prepared = TabularPreprocessor(**ALL).fit(frame, y)
    expected = prepared.transform(frame)
    for rows in (slice(0, 1), slice(7, 8), slice(100, 400)):
        np.testing.assert_array_equal(prepared.transform(frame[rows]), expected[rows])


def test_inputs_of_the_group_linear_are_not_squashed():
    frame, y = table(), np.arange(600) % 2
    prepared = TabularPreprocessor(linear=True).fit(frame, y)
    assert list(prepared.get_feature_names_out()[-3:]) == [
        "size_linear", "gain_linear", "age_linear",
    ]  # fmt: skip
    columns = named(prepared, prepared.transform(frame))
    gain = (frame["gain"] - frame["gain"].mean()) / frame["gain"].std(ddof=0)
    np.testing.assert_allclose(columns["gain_linear"], gain, rtol=1e-5, atol=1e-6)
    assert gain.max() > 3
    far = frame.head(1).assign(gain=1e300)
    assert named(prepared, prepared.transform(far))["gain_linear"] == [1000]


def test_all_of_it_is_saved(tmp_path):
    frame, y = table(), np.array(["a", "b", "c"])[np.arange(600) % 3]
    prepared = TabularPreprocessor(**ALL).fit(frame, y)
    save_model(prepared, tmp_path / "p.fastmlp")
    loaded = load_model(tmp_path / "p.fastmlp")
    np.testing.assert_array_equal(loaded.transform(frame), prepared.transform(frame))
    assert loaded.get_params() == prepared.get_params() and loaded.groups_ == prepared.groups_
    assert list(loaded.get_feature_names_out()) == list(prepared.get_feature_names_out())


@pytest.mark.parametrize(
    ("parameters", "y", "folds", "message"),
    [
        ({"n_bins": 4, "bin_edges": "tree"}, None, None, "requires y to be passed"),
        ({"target_means": True}, None, None, "requires y to be passed"),
        ({"target_means": True}, np.arange(599), None, "inconsistent numbers of samples"),
        ({"target_means": True}, np.full(600, np.nan), None, "y is missing in 600 of 600 rows"),
        ({"target_means": True}, np.arange(600), np.zeros(3), r"folds has the shape \(3,\)"),
        ({"target_means": True}, np.arange(600), np.zeros(600), "folds has a single number"),
        ({"target_means": True, "task": "regression"}, ["a", "b"] * 300, None, "has the text"),
        ({"scaling": "none"}, None, None, "The 'scaling' parameter"),
    ],
)
def test_what_cannot_be_learned(parameters, y, folds, message):
    with pytest.raises((ValueError, DataError), match=message):
        TabularPreprocessor(**parameters).fit_transform(table(), y, folds=folds)
