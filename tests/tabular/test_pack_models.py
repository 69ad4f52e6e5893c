"""Packs of networks, as the estimators for tables train them."""

import copy
import pickle
import warnings
from queue import SimpleQueue

import numpy as np
import pandas as pd
import pytest
from helpers import fit_quietly
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_score

from fastmlp import MLPClassifier, TabularClassifier, TabularRegressor, train_table
from fastmlp.exceptions import InterruptedTrainingWarning
from fastmlp.tabular.pack import training
from fastmlp.tabular.pack.members import MemberDone, Pack
from fastmlp.tabular.pack.preparation import set_parameters, why


def table(n_rows=60, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": rng.normal(size=n_rows), "z": rng.normal(size=n_rows).round(1)})
    frame["kind"] = rng.choice(["a", "b", "c"], n_rows)
    frame.loc[frame.index % 9 == 0, "z"] = np.nan
    return frame


def numbers(frame):
    return 4 * frame["x"].abs() + frame["kind"].map({"a": 0.0, "b": 2.0, "c": 5.0})


def labels(frame):
    return pd.Series(np.where(numbers(frame) > 4, "many", "few"), name="amount")


@pytest.fixture(scope="module")
def regressor():
    X = table()
    return TabularRegressor(members=4).fit(X, numbers(X))


@pytest.fixture(scope="module")
def classifier():
    X = table()
    return TabularClassifier(members=8).fit(X, labels(X))


def weighed(pack, inputs, predict):
    """The mean that a pack shall predict."""
    total = 0.0
    for kind, weight in pack.weights.items():
        members = [member for member in pack.members if member.kind == kind]
        total = total + weight * np.mean(
            [predict(m.network, inputs[:, m.start : m.stop]).astype(float) for m in members], axis=0
        )
    return total


def test_a_pack_predicts_the_weighted_mean_of_its_kinds(classifier, regressor):
    X = table(40, seed=1)
    pack, inputs = classifier.estimator_, classifier.preprocessor_.transform(X)
    assert isinstance(pack, Pack) and sum(pack.weights.values()) == pytest.approx(1)
    assert {member.kind for member in pack.members} == set(pack.weights)
    expected = weighed(pack, inputs, lambda network, Z: network.predict_proba(Z))
    found = classifier.predict_proba(X)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert list(classifier.classes_) == ["few", "many"]
    assert np.array_equal(classifier.predict(X), classifier.classes_[found.argmax(axis=1)])
    assert classifier.score(X, labels(X)) > 0.8
    np.testing.assert_allclose(np.exp(classifier.predict_log_proba(X)), found, rtol=1e-5)

    pack, inputs = regressor.estimator_, regressor.preprocessor_.transform(X)
    low, high = pack.bounds
    expected = weighed(pack, inputs, lambda network, Z: network.predict(Z).clip(low, high))
    expected = expected * regressor.target_scale_ + regressor.target_mean_
    np.testing.assert_allclose(regressor.predict(X), expected, rtol=1e-6)
    assert regressor.score(X, numbers(X)) > 0.8
    assert len(regressor.predict(X.head(0))) == len(classifier.predict(X.head(0))) == 0


def test_a_pack_says_what_it_is_made_of(regressor):
    pack = regressor.estimator_
    assert regressor.n_iter_ == sum(member.network.n_iter_ for member in pack.members) > 0
    tried = {kind["kind"]: kind for kind in pack.kinds}
    assert len(tried) == 3 and {k for k, v in tried.items() if v["weight"]} == set(pack.weights)
    for member in pack.members:
        of_kind = tried[member.kind]
        assert of_kind["inputs"] == member.stop - member.start == member.network.n_features_in_
        assert of_kind["folds"] >= 1 and np.isfinite(member.score)
        assert member.network.coefs_[0].dtype == np.float32
    # A pack is at least as good on rows it has not seen as the best of its kinds.
    assert pack.loss <= min(kind["loss"] for kind in pack.kinds) * (1 + 1e-6)
    y = numbers(table())
    assert pack.score == pytest.approx(1 - (pack.loss / y.std(ddof=0)) ** 2, abs=0.05)


def test_predictions_stay_within_the_range_of_the_target(regressor):
    far = table().assign(x=1e6)
    y = numbers(table())
    assert regressor.predict(far).max() <= y.max() * (1 + 1e-6)
    assert regressor.predict(far.assign(x=-1e6)).min() >= y.min() * (1 + 1e-6) - 1e-6


@pytest.mark.parametrize("cls", [TabularClassifier, TabularRegressor])
def test_threads_do_not_matter_and_seeds_do(cls):
    X = table(40)
    y = labels(X) if cls is TabularClassifier else numbers(X)

    def predicted(**parameters):
        model = cls(members=3, **parameters).fit(X, y)
        return model.predict_proba(X) if cls is TabularClassifier else model.predict(X)

    expected = predicted(n_jobs=1)
    np.testing.assert_array_equal(predicted(n_jobs=2), expected)
    np.testing.assert_array_equal(predicted(n_jobs=3), expected)
    np.testing.assert_array_equal(predicted(device="auto"), expected)
    assert not np.array_equal(predicted(random_state=1), expected)


def test_copies_and_pickles_predict_alike(classifier, regressor):
    X = table(10, seed=2)
    for model in (classifier, regressor):
        for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            np.testing.assert_array_equal(other.predict(X), model.predict(X))
        assert not hasattr(clone(model), "estimator_")


def test_cross_validation_of_a_pack():
    X = table(60)
    assert cross_val_score(TabularRegressor(members=2), X, numbers(X), cv=2).min() > 0.5


# ---- which model it is -------------------------------------------------------------------


def test_a_parameter_of_a_network_makes_one_network():
    X = table(30)
    model = fit_quietly(TabularClassifier(max_iter=3), X, labels(X))
    assert isinstance(model.estimator_, MLPClassifier)
    assert why(model) == "one network, because `max_iter` is set"
    alike = fit_quietly(TabularClassifier(max_iter=3, members=1, effort="high"), X, labels(X))
    np.testing.assert_array_equal(alike.predict_proba(X), model.predict_proba(X))


def test_which_parameters_are_set():
    assert set_parameters(TabularClassifier()) == []
    free = {
        "random_state": 3, "n_jobs": 1, "device": "auto", "class_weight": "balanced",
        "monitor": True, "diagnose": False, "effort": "high", "members": 3, "time_limit": 9,
        "threshold": 0.2,
    }  # fmt: skip
    assert set_parameters(TabularClassifier(**free)) == []
    # Also what a single network has without any setting can be set.
    assert set_parameters(TabularClassifier(hidden_layer_sizes=[128, 64], alpha=1e-4)) == [
        "hidden_layer_sizes", "alpha",
    ]  # fmt: skip
    assert set_parameters(TabularClassifier([5], dropout=[0.1], early_stopping=True)) == [
        "hidden_layer_sizes", "early_stopping", "dropout",
    ]  # fmt: skip
    assert set_parameters(TabularRegressor(loss="poisson", scoring=len)) == ["scoring", "loss"]
    assert "because `scoring` and `loss` are set" in why(TabularRegressor(loss="x", scoring=len))
    assert "effort='low'" in why(TabularRegressor(effort="low"))
    assert "members=3" in why(TabularRegressor(members=3))


def test_members_of_a_set_network_have_equal_weights_and_their_parameters():
    X = table(60)
    model = TabularRegressor((5,), max_iter=4, members=3, alpha=0.5)
    with pytest.warns(ConvergenceWarning) as caught:
        model.fit(X, numbers(X))
    assert len(caught) == 1 and caught[0].filename == __file__
    pack = model.estimator_
    assert len(pack.members) == 3 and pack.weights == {"network": 1.0} and pack.bounds is None
    assert {m.fold for m in pack.members} == {0, 1, 2}
    for member in pack.members:
        params = member.network.get_params()
        assert params["hidden_layer_sizes"] == (5,) and params["alpha"] == 0.5
        assert member.network.n_iter_ == 4
    assert len({m.network.random_state for m in pack.members}) == 3
    assert "networks of one kind" in why(model)
    one = fit_quietly(TabularClassifier((5,), max_iter=4, members=2), X, labels(X))
    assert list(one.estimator_.members[0].network.classes_) == ["few", "many"]


def test_members_of_a_set_network_stop_by_the_fold_that_they_hold_out():
    X = table(4)
    for n_rows in (3, 4):
        some, model = X.head(n_rows), TabularRegressor((3,), members=9)
        pack = fit_quietly(model, some, numbers(some)).estimator_
        assert len(pack.members) == 2
        assert all(member.network.early_stopping for member in pack.members)
    averaged = TabularRegressor((3,), members=2, swa_start=2, max_iter=4)
    pack = fit_quietly(averaged, table(20), numbers(table(20))).estimator_
    assert not pack.members[0].network.early_stopping


def test_low_effort_is_one_network():
    X = table(60)
    pack = TabularClassifier(effort="low").fit(X, labels(X)).estimator_
    assert len(pack.members) == 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"effort": "much"}, "effort"),
        ({"members": 0}, "members"),
        ({"members": 1.5}, "members"),
        ({"time_limit": 0}, "time_limit"),
        ({"threshold": 2.0}, "threshold"),
        ({"threshold": {"few": 1}}, "threshold must have a cost above 0 for each of the classes"),
        ({"threshold": {"few": 1, "many": -1}}, "a cost above 0"),
        ({"threshold": "f1", "max_iter": 3}, "a single network has none; use members=5"),
    ],
)
def test_bad_parameters_of_packs(parameters, message):
    X, model = table(20), TabularClassifier(**parameters)
    with pytest.raises(ValueError, match=message):
        model.fit(X, labels(X))
    assert vars(model) == vars(TabularClassifier(**parameters))


# ---- small and uneven tables -------------------------------------------------------------


def test_twenty_rows():
    X = table(20)
    model = TabularRegressor(members=16).fit(X, numbers(X))
    assert np.isfinite(model.predict(X)).all() and model.estimator_.score > 0.3
    assert np.isfinite(TabularClassifier(members=2).fit(X, labels(X)).predict_proba(X)).all()


@pytest.mark.parametrize(
    "y", [list("aabbcc"), list("aaaaab"), list("abcdef"), list("ab")], ids="".join
)
def test_classes_of_few_rows(y):
    X = pd.DataFrame({"x": np.arange(len(y)) * 1.0, "t": list("pq") * (len(y) // 2)})
    model = TabularClassifier(members=4).fit(X, y)
    p = model.predict_proba(X)
    assert p.shape == (len(y), len(set(y))) and np.isfinite(p).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    assert list(model.classes_) == sorted(set(y))


def test_more_columns_than_rows():
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(15, 60))).rename(columns=str)
    model = TabularRegressor(members=8).fit(X, X["3"] * 2)
    assert np.isfinite(model.predict(X)).all()


def test_rare_events_are_in_every_fold():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=400), "z": rng.normal(size=400)})
    y = np.zeros(400, dtype=int)
    y[np.argsort(-X["x"].to_numpy())[:8]] = 1  # two in a hundred
    model = TabularClassifier(members=8).fit(X, y)
    pack = model.estimator_
    assert all(np.isfinite(member.score) for member in pack.members)
    assert pack.loss < 0.8 * -(0.02 * np.log(0.02) + 0.98 * np.log(0.98))
    assert model.predict_proba(X)[y == 1, 1].mean() > 10 * model.predict_proba(X)[y == 0, 1].mean()


# ---- weights of rows and classes, thresholds ----------------------------------------------


def test_levels_that_say_nothing_do_not_betray_the_rows_held_out():
    """Means of the target over other folds would, as they say what is missing in their sum."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"city": rng.integers(0, 60, 400).astype(str)})
    X["city"] = "c" + X["city"]
    y = rng.integers(0, 2, 400)
    model = TabularClassifier(members=6).fit(X, y)
    assert model.preprocessor_.level_means_[0].shape[1] == 2
    assert all(kind["loss"] > 0.67 for kind in model.estimator_.kinds)  # that of halves is 0.693


@pytest.mark.parametrize("cls", [TabularClassifier, TabularRegressor])
def test_rows_without_weight_do_not_count(cls):
    X = table(60)
    y = (labels(X) if cls is TabularClassifier else numbers(X)).to_numpy()
    is_wrong = np.arange(60) % 3 == 0
    other = y.copy()
    other[is_wrong] = other[is_wrong][::-1]
    weight = np.where(is_wrong, 0.0, 1.0)
    # Target means and edges of trees are learned from all rows: this table has few levels, and
    # the kinds for which edges are learned come second.
    first, second = (cls(members=1).fit(X, target, weight) for target in (y, other))
    assert first.estimator_.loss == pytest.approx(second.estimator_.loss, rel=1e-3)
    if cls is TabularClassifier:
        np.testing.assert_allclose(first.predict_proba(X), second.predict_proba(X), atol=1e-4)
    else:
        np.testing.assert_allclose(first.predict(X), second.predict(X), rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match="the weights leave 1 rows to learn from"):
        cls(members=1).fit(X, y, np.eye(60)[0])


@pytest.mark.parametrize(
    "parameters", [{"effort": "low"}, {"members": 2, "learning_rate_init": 0.02}]
)
@pytest.mark.parametrize("cls", [TabularClassifier, TabularRegressor])
def test_whole_batches_of_rows_may_have_no_weight(cls, parameters):
    X = table(60)
    y = (labels(X) if cls is TabularClassifier else numbers(X)).to_numpy()
    weight = (np.arange(60) % 5 == 0).astype(float)
    model = fit_quietly(cls(**parameters), X, y, weight)
    assert np.isfinite(model.estimator_.loss) and len(np.unique(model.predict(X))) > 1
    # A class without any weight is still one of the classes.
    if cls is TabularClassifier:
        weight = np.where(y == "many", 0.0, 1.0)
        model = fit_quietly(cls(**parameters), X, y, weight)
        assert model.classes_.tolist() == ["few", "many"] and (model.predict(X) == "few").all()
    weight[:2] = [1, -1]
    with pytest.raises(ValueError, match="sample_weight must not be negative"):
        cls(**parameters).fit(X, y, weight)


def test_rare_events_are_predicted_as_well_as_by_a_logistic_regression():
    rng = np.random.default_rng(3)
    X = pd.DataFrame(rng.normal(size=(3000, 4)), columns=list("abcd"))
    chance = 1 / (1 + np.exp(5.6 - X["a"] + 0.8 * X["b"]))
    y = (rng.uniform(size=3000) < chance).astype(int)
    seen, unseen = slice(0, 1000), slice(1000, 3000)
    model = TabularClassifier().fit(X[seen], y[seen])
    assert "logistic" in {kind["kind"] for kind in model.estimator_.kinds}
    simple = LogisticRegression().fit(X[seen], y[seen])
    losses = [log_loss(y[unseen], m.predict_proba(X[unseen])) for m in (model, simple)]
    assert losses[0] <= 1.02 * losses[1]


def test_class_weights_reach_members_and_losses():
    X = table(120)
    y = labels(X).where(numbers(X) < 9, "very many")
    plain = TabularClassifier(members=2).fit(X, y)
    weight = {"few": 1, "many": 1, "very many": 30}
    heavy = TabularClassifier(members=2, class_weight=weight).fit(X, y)
    by_rows = TabularClassifier(members=2).fit(X, y, y.map(weight).to_numpy(float))
    np.testing.assert_allclose(heavy.predict_proba(X), by_rows.predict_proba(X), rtol=1e-5)
    mean = [model.predict_proba(X)[:, 2].mean() for model in (plain, heavy)]
    assert mean[1] > 1.1 * mean[0]
    balanced = TabularClassifier(members=2, class_weight="balanced").fit(X, y)
    shares = dict(zip(*np.unique(y, return_counts=True), strict=True))
    weight = {label: 40 / count for label, count in shares.items()}
    by_rows = TabularClassifier(members=2).fit(X, y, y.map(weight).to_numpy(float))
    np.testing.assert_allclose(balanced.predict_proba(X), by_rows.predict_proba(X), rtol=1e-5)


def test_a_threshold_changes_predictions_alone():
    X = table(120)
    y = labels(X)
    plain = TabularClassifier(members=2).fit(X, y)
    eager = TabularClassifier(members=2, threshold=0.1).fit(X, y)
    np.testing.assert_array_equal(plain.predict_proba(X), eager.predict_proba(X))
    assert not hasattr(plain, "threshold_") and eager.threshold_ == 0.1
    assert np.array_equal(eager.predict(X) == "many", plain.predict_proba(X)[:, 1] > 0.1)
    assert 0 < TabularClassifier(members=2, threshold="f1").fit(X, y).threshold_ < 1
    costly = TabularClassifier(members=2, threshold={"few": 1, "many": 50}).fit(X, y)
    assert (costly.predict(X) == "many").sum() >= (plain.predict(X) == "many").sum()
    one = fit_quietly(TabularClassifier((4,), max_iter=2, threshold=0.3), X, y)
    assert one.threshold_ == 0.3
    with pytest.raises(ValueError, match="is for two classes, and y has 3"):
        TabularClassifier(threshold="f1").fit(X, list("abc") * 40)


def test_metrics_are_those_of_the_threshold():
    frame = table(200).assign(amount=lambda X: labels(X))
    plain, other = (
        train_table(frame, members=2, threshold=t).report_["test"] for t in (None, 0.999)
    )
    assert plain["roc_auc"] == other["roc_auc"] and plain["log_loss"] == other["log_loss"]
    assert other["accuracy"] < plain["accuracy"]


# ---- callbacks, interruptions, limits ------------------------------------------------------


def test_a_callback_is_told_of_each_member_and_can_predict():
    X, told, kept, sizes = table(40), [], [], []
    model = TabularClassifier(members=2, n_jobs=1)

    def watch(done):
        assert isinstance(done, MemberDone) and done.done == len(told) + 1 <= done.planned
        assert done.score < 0 <= done.seconds_left and model.n_iter_ == model.estimator_.n_iter_
        assert len(model.predict(X)) == 40 and model.columns_
        sizes.append(len(model.estimator_.members))
        told.append(done)
        kept.append(copy.deepcopy(model).predict_proba(X))

    model.fit(X, labels(X), callback=watch)
    assert told[-1].done == told[-1].planned == 3 and told[-1].seconds_left == 0
    np.testing.assert_array_equal(kept[-1], model.predict_proba(X))
    assert sizes[0] == 1 and len(kept) == 3


def test_a_callback_ends_training_with_the_members_so_far():
    X = table(40)
    model = TabularRegressor(members=4, n_jobs=1)
    model.fit(X, numbers(X), callback=lambda done: done.done == 2)
    assert len(model.estimator_.members) <= 2
    assert sum(kind["folds"] for kind in model.estimator_.kinds) == 2


def test_interrupted_training_keeps_the_members_that_are_done():
    X = table(40)

    def interrupt(done):
        if done.done == 2:
            raise KeyboardInterrupt

    model = TabularClassifier(members=4, n_jobs=1)
    with pytest.warns(InterruptedTrainingWarning, match="interrupted by user") as caught:
        model.fit(X, labels(X), callback=interrupt)
    assert caught[0].filename == __file__
    assert sum(kind["folds"] for kind in model.estimator_.kinds) == 2
    assert model.estimator_.is_cut_short and len(model.predict(X)) == 40


def test_an_interruption_before_anything_is_learned_changes_nothing(monkeypatch):
    X = table(40)
    model = TabularClassifier(members=2).fit(X, labels(X))
    before = dict(vars(model))

    interrupts = [KeyboardInterrupt]

    class Interrupted(SimpleQueue):
        def get(self):
            if interrupts:
                raise interrupts.pop()
            return super().get()

    monkeypatch.setattr(training, "SimpleQueue", Interrupted)
    monkeypatch.setattr(training.PackTraining, "_fit", lambda self, batch: None)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, labels(X))
    assert not interrupts and vars(model) == before


def test_a_failing_callback_leaves_the_model_of_before():
    X = table(40)
    model = TabularClassifier(members=2).fit(X, labels(X))
    before = dict(vars(model))

    def fail(done):
        assert model.predict(X[["x"]]) is not None
        raise RuntimeError("no disk")

    with pytest.raises(RuntimeError, match="no disk"):
        model.fit(X[["x"]], labels(X), callback=fail)
    assert vars(model) == before and len(model.predict(X)) == 40


def test_a_limit_of_time_leaves_a_model(monkeypatch):
    X = table(60)
    model = TabularRegressor(time_limit=1e-6).fit(X, numbers(X))
    pack = model.estimator_
    assert pack.is_cut_short and pack.members and np.isfinite(model.predict(X)).all()
    assert sum(kind["folds"] for kind in pack.kinds) < 24
    whole = TabularRegressor(time_limit=1e6, members=2).fit(X, numbers(X))
    assert not whole.estimator_.is_cut_short
    one = TabularRegressor((8,), time_limit=1e-6).fit(X, numbers(X))
    assert one.n_iter_ == 1


def test_members_that_would_take_too_long_are_left_out(monkeypatch):
    """By a clock that each member moves on by a minute, all that are begun end in time."""
    X, now = table(40), [0.0]
    fit = training.PackTraining._fit

    def slow(self, batch):
        fit(self, batch)
        now[0] += 60
        batch[0].seconds = 60.0

    monkeypatch.setattr(training.PackTraining, "_fit", slow)
    monkeypatch.setattr(training.time, "perf_counter", lambda: now[0])
    model = TabularRegressor(time_limit=250, members=9, n_jobs=1).fit(X, numbers(X))
    assert sum(kind["folds"] for kind in model.estimator_.kinds) == 4 and now[0] == 240


def test_the_race_trains_only_what_has_weight_further(monkeypatch):
    monkeypatch.setattr("fastmlp.tabular.pack.kinds._MOST_ROWS_WITHOUT_RACE", 100)
    monkeypatch.setattr("fastmlp.tabular.pack.kinds._FOLDS", ((50, 3),))
    X, planned = table(200), []
    model = TabularRegressor(n_jobs=1)
    model.fit(X, numbers(X), callback=lambda done: planned.append(done.planned))
    pack = model.estimator_
    tried = {kind["kind"]: kind["folds"] for kind in pack.kinds}
    assert set(tried.values()) == {1, 4}
    assert all(tried[kind] == 4 for kind in pack.weights)
    assert planned[0] == 12 > planned[-1] == sum(tried.values())


def test_report_of_a_table():
    frame = table(80).assign(amount=numbers)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = train_table(frame, members=2)
    report = model.report_
    assert report["why"].startswith("a pack") and report["pack"] == model.estimator_.kinds
    assert report["networks"] == len(model.estimator_.members) and not report["cut_short"]
    assert report["epochs"] == model.n_iter_ and report["converged"]
    assert report["layers"][0] <= report["inputs"] and report["test"]["r2"] > 0.5
    assert report["loss"] == model.estimator_.loss > 0 and report["validation_score"] <= 1
    one = train_table(frame, max_iter=150).report_
    assert "pack" not in one and one["why"] == "one network, because `max_iter` is set"
