"""The parts of a pack: folds, weights, the linear kind, and which networks a table gets."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from fastmlp import MLPRegressor
from fastmlp.tabular.pack.folds import NEVER, stratified_folds
from fastmlp.tabular.pack.kinds import KINDS, LINEAR, OF_RARE, plan_for, with_rare
from fastmlp.tabular.pack.linear import fit_ridge
from fastmlp.tabular.pack.weighting import greedy_weights, held_out_loss, towards_linear
from fastmlp.tabular.thresholds import choose_threshold


def state():
    return np.random.RandomState(0)


@pytest.mark.parametrize("n_folds", [2, 5, 8])
def test_every_fold_has_rows_of_every_class_that_has_enough(n_folds):
    labels = np.array(["a"] * 57 + ["b"] * n_folds + ["c"] * 2)
    folds = stratified_folds(labels, "classification", n_folds, state())
    sizes = np.bincount(folds)
    assert len(sizes) == n_folds and np.ptp(sizes) <= 1
    for label in "ab":
        assert set(folds[labels == label]) == set(range(n_folds))
    again = stratified_folds(labels, "classification", n_folds, state())
    other = stratified_folds(labels, "classification", n_folds, np.random.RandomState(1))
    assert np.array_equal(folds, again) and not np.array_equal(folds, other)


def test_folds_of_numbers_are_alike():
    y = np.exp(np.random.default_rng(0).normal(size=103))
    folds = stratified_folds(y, "regression", 5, state())
    assert np.ptp(np.bincount(folds)) <= 1
    ranks = np.argsort(np.argsort(y))
    for start in range(0, 100, 5):  # each fold has one of five neighbours
        assert set(folds[(ranks >= start) & (ranks < start + 5)]) == set(range(5))


def test_rows_without_weight_are_never_held_out():
    weight = np.arange(30) % 3 * 1.0
    folds = stratified_folds(np.arange(30.0), "regression", 4, state(), weight)
    assert np.array_equal(folds == NEVER, weight == 0)


def test_weights_are_those_of_the_best_mean():
    rng = np.random.default_rng(0)
    y = rng.normal(size=400)
    error = rng.normal(size=400)
    # The errors of the first two cancel out where they have equal weights.
    predicted = {"over": y + error, "under": y - error, "bad": y + 3 * rng.normal(size=400)}
    assert greedy_weights(predicted, y) == {"over": 0.5, "under": 0.5}
    # Where only rows count that one of them predicts rightly, it is alone.
    weight = np.zeros(400)
    weight[:200] = 1
    predicted["over"][:200] = y[:200]
    assert greedy_weights(predicted, y, weight) == {"over": 1.0}


def test_weights_of_classes_lower_the_log_loss():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 3, 300)
    truth = np.eye(3)[y]

    def blurred(share):
        noise = rng.dirichlet(np.ones(3), 300)
        return share * truth + (1 - share) * noise

    predicted = {name: blurred(0.3) for name in "abc"} | {"none": np.full((300, 3), 1 / 3)}
    weights = greedy_weights(predicted, y)
    assert sum(weights.values()) == pytest.approx(1) and "none" not in weights
    mean = sum(weight * predicted[name] for name, weight in weights.items())
    assert held_out_loss(mean, y) < min(held_out_loss(p, y) for p in predicted.values())


def test_a_kind_without_finite_predictions_gets_no_weight():
    y = np.arange(20.0)
    bad = np.where(y == 3, np.nan, y)
    assert greedy_weights({"bad": bad, "good": y + 1}, y) == {"good": 1.0}
    assert held_out_loss(bad, y) == np.inf


@pytest.mark.parametrize(("n_rows", "n_inputs"), [(60, 4), (12, 30)])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_the_linear_kind_is_a_ridge_regression(n_rows, n_inputs, is_weighted):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, n_inputs)).astype(np.float32)
    y = (X @ rng.normal(size=n_inputs) + rng.normal(size=n_rows) + 3).astype(np.float32)
    weight = rng.uniform(0.5, 2, n_rows) if is_weighted else None
    network = MLPRegressor(())
    fit_ridge(network, X, y, weight)
    share = None if weight is None else weight / weight.mean()
    candidates = [Ridge(a).fit(X, y, share) for a in np.logspace(-2, 4, 13)]
    distances = [np.abs(c.predict(X) - network.predict(X)).max() for c in candidates]
    assert min(distances) < 1e-3  # it is one of them
    assert len(network.coefs_) == 1 and network.coefs_[0].dtype == np.float32


def test_a_ridge_regression_of_equal_inputs_and_of_none():
    X = np.ones((10, 3), dtype=np.float32)
    y = np.arange(10, dtype=np.float32)
    network = MLPRegressor(())
    fit_ridge(network, X, y, None)
    np.testing.assert_allclose(network.predict(X), y.mean(), rtol=1e-6)


def test_small_tables_get_more_folds_and_large_ones_a_race():
    small, medium, large = (plan_for(n, "default", "auto") for n in (800, 2500, 9000))
    assert small.n_folds == small.n_held >= medium.n_folds == medium.n_held
    assert not small.has_race and not medium.has_race and large.has_race
    assert large.n_held < large.n_folds
    high = plan_for(9000, "high", "auto")
    assert high.n_held == high.n_folds and not high.has_race and set(high.kinds) > set(KINDS)
    assert plan_for(1000, "high", "auto").n_held == plan_for(2500, "high", "auto").n_held == 8
    low = plan_for(9000, "low", "auto")
    assert len(low.kinds) == low.n_held == 1


def test_tables_of_few_rows_have_no_trees_and_small_layers():
    kinds = {
        n: {k.name: k for k in plan_for(n, "default", "auto", 3).kinds} for n in (100, 900, 2000)
    }
    assert "tree" not in kinds[100] and "tree" in kinds[900]
    assert max(kinds[900]["plain"].hidden) < max(kinds[2000]["plain"].hidden)
    # Two classes and regressions have no use of larger ones.
    for n_classes in (0, 2):
        assert kinds[900]["plain"] in plan_for(2000, "default", "auto", n_classes).kinds
    assert plan_for(100, "default", "auto").encoding["bin_edges"] == "quantile"


@pytest.mark.parametrize("members", [1, 2, 3, 4, 7, 20])
def test_members_limit_the_networks(members):
    plan = plan_for(9000, "default", members)
    networks = [kind for kind in plan.kinds if kind.name != LINEAR]
    n_networks = len(networks) * plan.n_held
    assert members / 2 < n_networks <= members and plan.n_held <= plan.n_folds
    assert (plan.kinds[-1].name == LINEAR) == (members > 1)


def test_a_table_has_no_more_folds_than_rows():
    assert plan_for(3, "default", "auto").n_folds == 3
    assert plan_for(2, "default", 50).n_held == 2


def test_encodings_are_those_that_the_kinds_need():
    everything = plan_for(9000, "default", "auto").encoding
    assert everything["bin_edges"] == "both" and everything["linear"]
    low = plan_for(9000, "low", "auto").encoding
    assert low["bin_edges"] == "quantile" and not low["linear"] and low["n_bins"] > 0


def test_thresholds():
    classes = np.array(["no", "yes"])
    p = np.array([0.9, 0.8, 0.7, 0.6, 0.4, 0.3, 0.2, 0.1])
    is_yes = np.array([1, 1, 0, 1, 0, 0, 0, 0], dtype=bool)
    # F1 is highest, 6/7, where the first four are predicted.
    assert choose_threshold("f1", classes, is_yes, p, None) == pytest.approx(0.5)
    # A missed row costs so much that the first four are right; then so little that two are.
    assert choose_threshold({"no": 1, "yes": 5}, classes, is_yes, p, None) == pytest.approx(0.5)
    found = choose_threshold({"no": 5, "yes": 1}, classes, is_yes, p, None)
    assert found == pytest.approx(0.75)
    # The fourth row does not count.
    weight = np.where(np.arange(8) == 3, 0.0, 1.0)
    assert choose_threshold("f1", classes, is_yes, p, weight) == pytest.approx(0.75)
    assert choose_threshold(0.3, classes, is_yes, p, None) == 0.3
    equal = np.full(8, 0.4)
    assert choose_threshold("f1", classes, is_yes, equal, None) < 0.4


@pytest.mark.parametrize("n_classes", [0, 2, 5])
def test_tables_of_several_hundred_rows_get_fewer_folds_than_small_ones(n_classes):
    plans = [plan_for(n, "default", "auto", n_classes) for n in (600, 900, 2000)]
    assert [plan.n_folds for plan in plans] == [plan.n_held for plan in plans] == [8, 6, 5]


def test_a_rare_class_gets_a_logistic_regression_of_few_inputs():
    plan = plan_for(2000, "default", "auto")
    assert with_rare(plan, np.array([0.2, 0.8])) is plan
    rare = with_rare(plan, np.array([0.01, 0.99]))
    assert rare.kinds == (*plan.kinds, OF_RARE) and not OF_RARE.hidden
    groups = {"tree": (0, 40), "base": (40, 44), "bins": (44, 90), "linear": (90, 94)}
    assert OF_RARE.columns(groups) == (40, 44)
    low = plan_for(2000, "low", "auto")
    assert with_rare(low, np.array([0.01, 0.99])) is low


@pytest.mark.parametrize(("n_rare", "share"), [(5, 5 / 6), (25, 0.5), (975, 0.025)])
def test_few_rows_of_a_rare_class_move_weights_to_the_better_linear_kind(n_rare, share):
    targets = np.arange(2000) < n_rare
    right = np.column_stack([~targets, targets])
    predicted = {"tree": right, "linear": 0.4 + 0.2 * right, "logistic": 0.1 + 0.8 * right}
    names, targets = ["linear", "logistic"], targets.astype(int)
    found = towards_linear({"tree": 0.75, "linear": 0.25}, predicted, names, targets)
    assert found == pytest.approx(
        {"tree": 0.75 * (1 - share), "linear": 0.25 * (1 - share), "logistic": share}
    )
    predicted["logistic"] = 1 - predicted["logistic"]
    found = towards_linear({"linear": 1.0}, predicted, names, targets)
    assert found == pytest.approx({"linear": 1.0})
    assert towards_linear({"tree": 1.0}, {"tree": right}, names, targets) == {"tree": 1.0}
