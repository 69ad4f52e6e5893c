"""Numbers whose values recur get means of the target by value, where these help."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from fastmlp import (
    ModelFileError,
    TabularClassifier,
    TabularPreprocessor,
    load_model,
    save_model,
)
from fastmlp.tabular.encoders.recurring import (
    codes_of_values,
    recurring_values,
    rounded,
    rows_to_judge_by,
    telling_values,
)

MEANS = {"number_means": True, "n_bins": 12}


def payments(n=1600, seed=0):
    """Amounts of which some single ones, among others that are alike, tell the class."""
    rng = np.random.default_rng(seed)
    amounts = np.arange(100, 160) * 7.5
    telling = np.random.default_rng(9).random(60) < 0.5
    chosen = rng.integers(60, size=n)
    frame = pd.DataFrame({"amount": amounts[chosen], "age": rng.integers(18, 80, n) + 0.0})
    frame["weight"] = rng.normal(size=n)
    is_yes = telling[chosen] ^ (rng.random(n) < 0.1)
    return frame, np.where(is_yes, "yes", "no"), telling


def test_a_pack_learns_what_single_amounts_mean():
    (frame, y, _), (unseen, expected, _) = payments(), payments(seed=1)
    model = TabularClassifier(random_state=0, members=2, n_jobs=1).fit(frame, y)
    assert model.preprocessor_.number_mean_columns_.tolist() == [0]
    found = roc_auc_score(expected == "yes", model.predict_proba(unseen)[:, 1])
    possible = roc_auc_score(expected == "yes", payments(seed=1)[2][rounded_place(unseen)])
    assert found > possible - 0.02


def rounded_place(frame):
    return (frame["amount"] / 7.5 - 100).round().astype(int)


def test_means_by_value_are_those_of_the_target():
    frame, y, telling = payments()
    prepared = TabularPreprocessor(**MEANS).fit(frame, y)
    names = list(prepared.get_feature_names_out())
    assert [name for name in names if "mean" in name] == ["amount_mean"]
    amounts = pd.DataFrame({"amount": np.arange(100, 160) * 7.5, "age": 30.0, "weight": 0.0})
    means = prepared.transform(amounts)[:, names.index("amount_mean")]
    assert means[telling].min() > means[~telling].max()
    counts = prepared.transform(amounts)[:, names.index("amount_log_count")]
    order = frame["amount"].value_counts().reindex(amounts["amount"]).to_numpy()
    assert counts[order.argmax()] == counts.max() and counts[order.argmin()] == counts.min()


def test_rows_do_not_see_their_own_target():
    frame, y, _ = payments(1600)
    folds = np.arange(1600) % 5
    prepared = TabularPreprocessor(**MEANS)
    inputs = prepared.fit_transform(frame, y, folds=folds)
    found = inputs[:, list(prepared.get_feature_names_out()).index("amount_mean")]
    is_yes, amounts = y == "yes", frame["amount"].to_numpy()
    expected = np.empty(1600)
    for row, amount in enumerate(amounts):
        others = folds != folds[row]
        like = is_yes[others & (amounts == amount)]
        expected[row] = (like.sum() + 10 * is_yes[others].mean()) / (len(like) + 10)
    assert spearmanr(found, expected).statistic > 0.9999


def test_other_values_and_missing_ones_have_the_mean_of_all():
    frame, y, _ = payments()
    frame.loc[::11, "amount"] = np.nan
    prepared = TabularPreprocessor(**MEANS).fit(frame, y)
    new = pd.DataFrame({"amount": [np.nan, 751.0, -3.0, 1e300], "age": 30.0, "weight": 0.0})
    place = list(prepared.get_feature_names_out()).index("amount_mean")
    means = prepared.transform(new)[:, place]
    np.testing.assert_array_equal(means, np.full(4, prepared.number_means_[0][-1, 0]))


def test_types_of_numbers_do_not_matter():
    frame, y, _ = payments()
    frame["amount"] /= 3  # so that float32 rounds it
    prepared = TabularPreprocessor(**MEANS).fit(frame, y)
    place = list(prepared.get_feature_names_out()).index("amount_mean")
    small = frame.astype({"amount": np.float32})
    np.testing.assert_array_equal(
        prepared.transform(frame)[:, place], prepared.transform(small)[:, place]
    )


def test_what_a_smooth_function_says_needs_no_means():
    frame, _, _ = payments()
    rng = np.random.default_rng(2)
    y = np.sqrt(frame["amount"]) + frame["weight"] + rng.normal(size=len(frame))
    prepared = TabularPreprocessor(**MEANS).fit(frame, y)
    assert not len(prepared.number_mean_columns_)


def test_what_another_column_says_needs_no_means():
    """Numbers that name a town say nothing beside the town itself."""
    frame, y, telling = payments()
    place = rounded_place(frame)
    town = np.where(telling[place], "north", "south")
    beside = frame.assign(town=town)
    assert len(TabularPreprocessor(**MEANS).fit(frame, y).number_mean_columns_) == 1
    assert not len(TabularPreprocessor(**MEANS).fit(beside, y).number_mean_columns_)


def test_wide_tables_are_judged_alike():
    """With more inputs than rows the regression is computed by the rows."""
    rng = np.random.default_rng(0)
    numbers = rng.integers(20, size=(120, 1)).astype(float)
    averaged = np.where(rng.random(20) < 0.5, 1.0, 0.0)[numbers[:, 0].astype(int)][:, None]
    folds = np.arange(120) % 4
    values = {0: np.arange(20, dtype=np.float32)}
    inputs = rng.normal(size=(120, 3)).astype(np.float32)
    wide = np.hstack([inputs, np.zeros((120, 300), dtype=np.float32)])
    assert list(telling_values(values, numbers, inputs, averaged, folds)) == [0]
    assert list(telling_values(values, numbers, wide, averaged, folds)) == [0]
    shuffled = rng.permutation(averaged)
    assert not telling_values(values, numbers, inputs, shuffled, folds)
    assert not telling_values(values, numbers, wide, shuffled, folds)


def test_values_recur_if_half_of_the_rows_have_them_often():
    often, once = np.repeat(np.arange(20.0), 5), np.arange(1000.0, 1100.0)
    np.testing.assert_array_equal(recurring_values(np.r_[often, once]), np.arange(20))
    assert not len(recurring_values(np.r_[often, once, 2000.0]))
    assert not len(recurring_values(np.repeat(np.arange(13.0), 50)))
    with_others = np.r_[often, 500, 500, 501, np.nan, np.nan]
    np.testing.assert_array_equal(recurring_values(with_others), [*range(20), 500])


def test_codes_of_values():
    known = [rounded(np.array([-1.0, 0.0, 0.1])), rounded(np.array([7.0]))]
    numbers = np.array([[-0.0, 1, 7], [0.1, 2, 8], [-1, 3, np.nan], [np.nan, 4, 6], [5, 0, 1e99]])
    codes = codes_of_values(numbers, [0, 2], known)
    np.testing.assert_array_equal(codes, [[1, 0], [2, 1], [0, 1], [3, 1], [3, 1]])
    assert codes_of_values(numbers, [], []).shape == (5, 0)


def test_few_rows_are_judged_by_all_and_many_by_some():
    np.testing.assert_array_equal(rows_to_judge_by(50, 100), np.arange(50))
    rows = rows_to_judge_by(100_000, 1600)
    assert len(np.unique(rows)) == 5000 and rows.max() < 100_000


@pytest.mark.parametrize("n_classes", [3, 12])
def test_means_of_several_classes(n_classes):
    frame, _, _ = payments(2000)
    y = np.random.default_rng(3).integers(n_classes, size=60)[rounded_place(frame)]
    prepared = TabularPreprocessor(**MEANS, task="classification").fit(frame, y)
    shapes = [table.shape for table in prepared.number_means_]
    assert shapes == ([(61, 4)] if n_classes == 3 else [])


def test_small_tables_have_no_means():
    frame, y, _ = payments(1499)
    assert not len(TabularPreprocessor(**MEANS).fit(frame, y).number_mean_columns_)


def test_numbers_with_means_need_a_target():
    with pytest.raises(ValueError, match="y"):
        TabularPreprocessor(number_means=True).fit(payments()[0])


def test_files_keep_the_means(tmp_path):
    frame, y, _ = payments()
    prepared = TabularPreprocessor(**MEANS).fit(frame, y)
    assert len(prepared.number_means_) == 1
    save_model(prepared, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    np.testing.assert_array_equal(loaded.transform(frame), prepared.transform(frame))


WRONG = {
    "number_mean_columns_": [np.array([5]), np.array([0, 1])],
    "number_mean_values_": [[], [np.ones(3, "f4")], [np.arange(59, dtype="f4")], [np.arange(60.0)]],
    "number_means_": [[], [np.ones((3, 2), "f4")], [np.ones((61, 2))], [np.ones((61, 3), "f4")]],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in WRONG.items() for v in vs])
def test_files_whose_means_do_not_fit_are_refused(tmp_path, name, value):
    frame, y, _ = payments()
    prepared = TabularPreprocessor(**MEANS).fit(frame, y)
    setattr(prepared, name, value)
    with pytest.raises((ModelFileError, ValueError)):
        save_model(prepared, tmp_path / "model")
        load_model(tmp_path / "model")


def test_states_of_earlier_versions_have_no_means():
    frame = payments()[0]
    prepared = TabularPreprocessor(n_bins=12).fit(frame)
    state = dict(prepared.__getstate__())
    for name in ("number_means", "number_mean_columns_", "number_mean_values_", "number_means_"):
        del state[name]
    earlier = TabularPreprocessor()
    earlier.__setstate__(state)
    np.testing.assert_array_equal(earlier.transform(frame), prepared.transform(frame))
