"""Learning-rate schedules: their numbers, and what a fit makes of them."""

import copy
import warnings
from functools import partial

import naive
import numpy as np
import pytest
from helpers import fit_quietly, flat
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from fastmlp import MLPClassifier, MLPRegressor, load_model, save_model
from fastmlp.schedules import (
    SCHEDULES,
    Adaptive,
    Constant,
    Cosine,
    InverseScaling,
    LearningRate,
    MultiCycle,
    OneCycle,
    Plateau,
    Schedule,
    Step,
    schedule_for,
)

RNG = np.random.RandomState(0)
X = RNG.normal(size=(60, 3))
Y = X[:, 0] + 0.1 * RNG.normal(size=60)
SOLVERS = ["sgd", "adam"]


def rates(schedule, n_epochs, *, initial=1.0, horizon=None, n_rows=1, watched=None, tol=0.0):
    """Rates of the first epochs."""
    state = LearningRate(schedule, initial, horizon or n_epochs)
    found = []
    for epoch in range(n_epochs):
        found.append(state.learning_rate)
        value = None if watched is None else watched[epoch]
        state.epoch_ends((epoch + 1) * n_rows, value, tol)
    return found


def regressor(**params):
    params = {"random_state": 0, "hidden_layer_sizes": (4,), "batch_size": 16, **params}
    return MLPRegressor(**params)


def rates_of_fit(**params):
    return fit_quietly(regressor(**params), X, Y).history_["learning_rate"]


HALF = np.sqrt(0.5)
BY_HAND = {
    "constant": (Constant(), [2, 2, 2, 2, 2]),
    # 3 rows an epoch
    "invscaling": (InverseScaling(1.0), [2, 2 / 4, 2 / 7, 2 / 10, 2 / 13]),
    "invscaling-root": (InverseScaling(), [2, 1, 2 / 7**0.5, 2 / 10**0.5, 2 / 13**0.5]),
    "adaptive": (Adaptive(), [2, 2, 2, 2, 2]),
    "step": (Step(every=2, factor=0.1), [2, 2, 0.2, 0.2, 0.02]),
    "step-defaults": (Step(), [2, 2, 2, 2, 2]),
    # e = 0, 1, 2, 3, 4 of 4: cos 0, pi / 4, pi / 2, ...; the fifth is past the end
    "cosine": (Cosine(), [2, 1 + HALF, 1, 1 - HALF, 0]),
    "cosine-floor": (Cosine(min_rate=1.0), [2, 1.5 + HALF / 2, 1.5, 1.5 - HALF / 2, 1]),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_rates_by_hand(name):
    schedule, expected = BY_HAND[name]
    found = rates(schedule, 5, initial=2.0, horizon=4, n_rows=3)
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-16)


def test_one_cycle_by_hand():
    # 11 epochs lie at 0, 0.1, ... 1 of the way; the first half of it leads up.
    found = rates(OneCycle(warmup=0.5, start_factor=0.2, end_factor=0.1), 12, horizon=11)
    up = [0.2 + 0.8 * (1 - np.cos(np.pi * i / 5)) / 2 for i in range(6)]
    down = [0.1 + 0.9 * (1 + np.cos(np.pi * i / 5)) / 2 for i in range(1, 6)]
    np.testing.assert_allclose(found, [*up, *down, 0.1], rtol=1e-12)
    assert found[0] == pytest.approx(0.2) and found[5] == pytest.approx(1.0)
    assert rates(OneCycle(warmup=0), 3)[0] == 1.0
    assert rates(OneCycle(), 1) == pytest.approx([1 / 25])


def test_plateau_by_hand():
    schedule = Plateau(factor=0.5, patience=1, min_rate=0.2)
    #          best  better none  none -> half; none none -> 0.25; none none -> floor
    watched = [3.0, 2.0, 2.0, 2.5, 2.0, 2.0, 2.0, 2.0, 2.0]
    assert rates(schedule, 9, watched=watched) == [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.2]
    # Improvements within the tolerance are none; larger ones begin the count anew.
    watched = [3.0, 2.95, 2.9, 2.85]
    assert rates(schedule, 4, watched=watched, tol=0.5) == [1, 1, 1, 0.5]
    assert rates(schedule, 4, watched=watched, tol=0.01) == [1, 1, 1, 1]
    # It never raises a rate that is below the floor already.
    assert rates(schedule, 6, initial=0.1, watched=[1.0] * 6) == [0.1] * 6


def test_plateau_reads_the_state_and_does_not_change_it():
    """Whoever asks twice gets the same answer, and a fit's state may be shown to a schedule."""
    state = LearningRate(Plateau(factor=0.5, patience=0), 1.0)
    state.epoch_ends(1, 3.0)
    state.waited = state.waited_at_rate = 1
    before = copy.copy(state)
    assert [state.schedule.next_rate(state) for _ in range(2)] == [0.5, 0.5]
    assert state == before


def test_waiting_is_counted_since_the_best_epoch_and_since_the_rate_changed():
    state = LearningRate(Plateau(factor=0.5, patience=1), 1.0)
    found = []
    for watched in (3.0, 3.0, 3.0, 3.0, 2.0, 2.0):
        state.epoch_ends(1, watched)
        found.append((state.learning_rate, state.waited, state.waited_at_rate))
    expected = [(1, 0, 0), (1, 1, 1), (0.5, 2, 0), (0.5, 3, 1), (0.5, 0, 0), (0.5, 1, 1)]
    assert found == expected
    state = LearningRate(Adaptive(), 1.0, waited=2, waited_at_rate=2)
    assert state.on_plateau() and (state.waited, state.waited_at_rate) == (2, 0)


def test_a_schedule_of_ones_own_sees_all_epochs_without_improvement():
    class Impatient(Schedule):
        def next_rate(self, state):
            return state.initial / (1 + state.waited)

    watched = [3.0, 3.0, 3.0, 2.0, 2.0]
    assert rates(Impatient(), 5, watched=watched) == [1, 1, 1 / 2, 1 / 3, 1]


def test_adaptive_divides_by_five_until_it_is_small():
    state = LearningRate(Adaptive(), 1e-5)
    assert state.on_plateau() and state.learning_rate == pytest.approx(2e-6)
    assert state.on_plateau() and state.learning_rate == pytest.approx(4e-7)
    assert not state.on_plateau() and state.learning_rate == pytest.approx(4e-7)
    assert not LearningRate(Plateau(), 1.0).on_plateau()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    schedule=st.one_of(
        st.builds(InverseScaling, st.floats(0, 3)),
        st.builds(Step, st.integers(1, 20), st.floats(0.01, 1)),
        st.builds(Cosine, st.floats(0, 1e-4)),
        st.builds(OneCycle, st.floats(0, 0.99), st.floats(1e-3, 1), st.floats(0, 1)),
        st.builds(MultiCycle, st.integers(1, 50)),
        st.builds(Plateau, st.floats(0.01, 0.99), st.integers(0, 9), st.floats(0, 1)),
    ),
    initial=st.floats(1e-4, 10),
    horizon=st.integers(1, 60),
    watched=st.lists(st.floats(-5, 5), min_size=70, max_size=70),
)
def test_the_initial_rate_is_the_peak(schedule, initial, horizon, watched):
    found = np.array(rates(schedule, 70, initial=initial, horizon=horizon, watched=watched))
    assert (found >= 0).all() and (found <= initial * (1 + 1e-12)).all()
    if isinstance(schedule, MultiCycle):
        return
    if isinstance(schedule, OneCycle):
        turn = found.argmax()
        assert (np.diff(found[: turn + 1]) >= -1e-12).all()
        found = found[turn:]
    assert (np.diff(found) <= 1e-12).all()


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_a_name_is_its_object_at_its_defaults(name, solver):
    params = {"solver": solver, "max_iter": 12, "learning_rate_init": 0.01}
    by_name = fit_quietly(regressor(lr_schedule=name, **params), X, Y)
    by_object = fit_quietly(regressor(lr_schedule=SCHEDULES[name](), **params), X, Y)
    np.testing.assert_array_equal(flat(by_name), flat(by_object))
    assert by_name.history_["learning_rate"] == by_object.history_["learning_rate"]


@pytest.mark.parametrize("name", ["constant", "invscaling", "adaptive"])
def test_names_of_scikit_learn_mean_the_same(name):
    params = {"solver": "sgd", "power_t": 0.7, "max_iter": 30, "tol": 0.05, "n_iter_no_change": 2}
    ours = fit_quietly(regressor(lr_schedule=name, **params), X, Y)
    theirs = fit_quietly(regressor(learning_rate=name, **params), X, Y)
    np.testing.assert_array_equal(flat(ours), flat(theirs))
    assert ours.loss_curve_ == theirs.loss_curve_


def test_adam_follows_the_schedule_but_not_learning_rate():
    schedule = Step(every=2, factor=0.25)
    found = rates_of_fit(lr_schedule=schedule, max_iter=6, learning_rate_init=0.08)
    assert found == pytest.approx([0.08, 0.08, 0.02, 0.02, 0.005, 0.005])
    assert set(rates_of_fit(learning_rate="invscaling", max_iter=4)) == {0.001}


@pytest.mark.parametrize("solver", SOLVERS)
def test_weights_are_those_of_a_plain_implementation(solver):
    schedule = OneCycle(warmup=0.4)
    expected_rates = rates(schedule, 7, initial=0.02)
    model = regressor(solver=solver, lr_schedule=schedule, learning_rate_init=0.02, max_iter=7)
    fit_quietly(model, X, Y)
    optimizer = naive.Adam if solver == "adam" else naive.SGD
    weights, biases, _ = naive.train(
        X, Y[:, None], hidden=(4,), activation_name="relu", loss="squared_error", seed=0,
        optimizer=optimizer, epochs=7, batch_size=16, alpha=1e-4, learning_rate=None,
        rates=expected_rates,
    )  # fmt: skip
    expected = np.concatenate([np.ravel(p) for p in weights + biases])
    np.testing.assert_allclose(flat(model), expected, rtol=0, atol=1e-10)
    assert model.history_["learning_rate"] == pytest.approx(expected_rates)


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle", "multi_cycle", Cosine(1e-5)])
def test_reaching_the_horizon_is_convergence(schedule):
    model = regressor(lr_schedule=schedule, max_iter=5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, Y)
    assert model.n_iter_ == 5
    with pytest.warns(ConvergenceWarning):
        regressor(lr_schedule="step", max_iter=5).fit(X, Y)


def test_partial_fit_goes_on_in_the_schedule():
    model = regressor(lr_schedule=Cosine(), max_iter=4, learning_rate_init=2.0, solver="sgd")
    for _ in range(5):
        model.partial_fit(X * 1e-3, Y)
    expected = BY_HAND["cosine"][1]
    np.testing.assert_allclose(model.history_["learning_rate"], expected, atol=1e-15)


def test_a_second_fit_begins_anew():
    model = regressor(lr_schedule=Step(every=1), max_iter=3, warm_start=True)
    for _ in range(2):
        fit_quietly(model, X, Y)
    assert model.history_["learning_rate"] == pytest.approx([1e-3, 5e-4, 2.5e-4] * 2)


def plateau_rates(**fit_params):
    schedule = Plateau(factor=0.5, patience=2)
    model = regressor(lr_schedule=schedule, max_iter=7, tol=1e3, n_iter_no_change=99)
    return fit_quietly(model, X, Y, **fit_params).history_["learning_rate"]


def test_plateau_looks_at_the_validation_loss_where_there_is_one():
    # Nothing improves by the tolerance after the first epoch.
    falling = pytest.approx([1e-3] * 4 + [5e-4] * 3)
    assert plateau_rates() == falling
    assert plateau_rates(eval_set=(X, Y)) == falling
    # The training loss falls, while the bias moves away from what the validation part asks for.
    model = regressor(
        lr_schedule=Plateau(factor=0.5, patience=2), max_iter=7, tol=0, learning_rate_init=0.01,
        hidden_layer_sizes=(), init="he_normal", diagnose=False,
    )  # fmt: skip
    assert len(set(fit_quietly(model, X, Y + 5).history_["learning_rate"])) == 1
    fit_quietly(model, X, Y + 5, eval_set=(0 * X, np.full(60, -9)))
    found = model.history_
    assert np.diff(found["validation_loss"]).min() > 0 > np.diff(found["loss"]).max()
    assert found["learning_rate"] == pytest.approx([0.01] * 4 + [0.005] * 3)


def test_plateau_looks_at_the_score_of_early_stopping():
    model = regressor(
        lr_schedule=Plateau(factor=0.5, patience=0), max_iter=5, early_stopping=True,
        scoring=lambda estimator, X, y: 0.0,
    )  # fmt: skip
    fit_quietly(model, X, Y)
    assert model.history_["learning_rate"] == pytest.approx(1e-3 * 0.5 ** np.r_[0, 0, 1, 2, 3])


def test_objects_are_shared_cloned_compared_and_never_changed():
    schedule = Plateau(factor=0.5, patience=0)
    before = copy.deepcopy(schedule)
    model = regressor(lr_schedule=schedule, max_iter=9, tol=9, n_iter_no_change=99)
    fit_quietly(model, X, Y)
    assert model.lr_schedule is schedule and schedule == before
    assert model.history_["learning_rate"][-1] < 1e-4
    assert clone(model).get_params() == model.get_params()
    assert repr(schedule) == "Plateau(factor=0.5, patience=0, min_rate=1e-06)"
    assert "Plateau(factor=0.5" in repr(model)
    assert Step() == Step() != Step(every=3) and hash(Step()) == hash(Step())
    assert Constant() != Adaptive()
    with pytest.raises(AttributeError):
        schedule.factor = 0.9
    grid = {"lr_schedule": ["cosine", Cosine(1e-5), None]}
    search = GridSearchCV(regressor(max_iter=3), grid, cv=2)
    assert fit_quietly(search, X, Y).best_params_["lr_schedule"] in grid["lr_schedule"]


def test_model_files_hold_schedules(tmp_path):
    for schedule in (*(cls() for cls in SCHEDULES.values()), "cosine", None):
        model = fit_quietly(regressor(lr_schedule=schedule, max_iter=2), X, Y)
        save_model(model, tmp_path / "model")
        loaded = load_model(tmp_path / "model")
        assert loaded.lr_schedule == schedule and loaded.history_ == model.history_
        np.testing.assert_array_equal(flat(loaded.partial_fit(X, Y)), flat(model.partial_fit(X, Y)))


def test_a_schedule_of_ones_own():
    class Alternating(Schedule):
        def next_rate(self, state):
            return state.initial * (0.5 if state.epoch % 2 else 1)

    found = rates_of_fit(lr_schedule=Alternating(), max_iter=4, learning_rate_init=0.1)
    assert found == [0.1, 0.05, 0.1, 0.05]


def test_schedule_for():
    assert schedule_for("invscaling", 0.9) == InverseScaling(0.9)
    assert schedule_for(Step(3), 0.9) == Step(3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: InverseScaling(-0.1), r"power_t must not be negative, got InverseScaling\("),
        (lambda: Plateau(factor=1.0), "factor must be between 0 and 1"),
        (lambda: Plateau(patience=-1), "patience must not be negative"),
        (lambda: Plateau(min_rate=-1), "min_rate must not be negative"),
        (lambda: Step(every=0), "every must be an integer of at least 1"),
        (lambda: Step(factor=0), "factor must be above 0"),
        (lambda: Cosine(-1.0), "min_rate must not be negative"),
        (lambda: MultiCycle(0), "cycles must be an integer from 1 to 50"),
        (lambda: MultiCycle(2.5), "cycles must be an integer"),
        (lambda: MultiCycle(51), "cycles must be an integer"),
        (lambda: OneCycle(warmup=1), "warmup must be at least 0 and below 1"),
        (lambda: OneCycle(start_factor=0), "start_factor must be above 0"),
        (lambda: OneCycle(end_factor=2), "end_factor must be between 0 and 1"),
        (lambda: regressor(lr_schedule=Cosine(1.0)).fit(X, Y), "raise learning_rate_init=0.001"),
        (lambda: regressor(lr_schedule="linear").fit(X, Y), "'lr_schedule' parameter of"),
        (lambda: MLPClassifier(lr_schedule=0.1).fit(X, Y > 0), "'lr_schedule' parameter of"),
    ],
)
def test_mistakes(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ---- cycles ------------------------------------------------------------------------------


def test_multi_cycle_by_formula():
    n = 37
    t = (np.arange(n) + 0.5) / n
    for cycles in (1, 2, 4):
        expected = 3 * (1 - np.cos(2 * np.pi * np.log2(1 + (2**cycles - 1) * t))) / 2
        found = rates(MultiCycle(cycles), n, initial=3.0)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    # Beyond its last epoch the rate stays at zero.
    assert rates(MultiCycle(), 6, horizon=4)[4:] == pytest.approx([0, 0])


def cycles_of(n_epochs, cycles=4):
    """Number of the cycle of each epoch."""
    t = (np.arange(n_epochs) + 0.5) / n_epochs
    return np.log2(1 + (2**cycles - 1) * t).astype(int)


def in_cycles(scores=None, n_epochs=64, n_cycles=4, callback=None, **options):
    """Fit with early stopping, where scored epochs get the given scores one after the other."""
    given_scores = iter(scores or ())
    scoring = (lambda model, X, y: next(given_scores)) if scores else "loss"
    model = regressor(
        lr_schedule=MultiCycle(n_cycles), max_iter=n_epochs, early_stopping=True, scoring=scoring,
        **{"tol": 0, "n_iter_no_change": np.inf, **options},
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return model.fit(X, Y, callback=None if callback is None else partial(callback, model))


def is_scored(n_epochs, n_cycles=4):
    is_low = np.array(rates(MultiCycle(n_cycles), n_epochs)) <= 0.5
    return is_low | np.append(np.diff(cycles_of(n_epochs, n_cycles)) > 0, True)


@pytest.mark.parametrize("n_epochs", [1, 2, 3, 4, 11, 64])
def test_only_epochs_in_valleys_are_scored(n_epochs):
    model = in_cycles(list(range(100)), n_epochs)
    expected = is_scored(n_epochs)
    assert model.n_iter_ == n_epochs
    assert (~np.isnan(model.validation_scores_) == expected).all()
    recorded = [score is not None for score in model.history_["validation_score"]]
    assert recorded == expected.tolist()
    assert model.best_validation_score_ == expected.sum() - 1


@pytest.mark.parametrize("last_good", [0, 1, 2])
def test_training_ends_with_a_cycle_without_a_better_score(last_good):
    cycle, scored = cycles_of(64), is_scored(64)
    weights = []

    def keep(model, epoch):
        weights.append(flat(model))

    # Each cycle is better than the one before, up to one; no later one is.
    scores = np.minimum(cycle, last_good)[scored].tolist()
    model = in_cycles(scores, callback=keep)
    assert model.n_iter_ == (cycle <= last_good + 1).sum()
    assert model.best_validation_score_ == last_good
    best = np.flatnonzero(scored & (cycle == last_good))[0]
    np.testing.assert_array_equal(flat(model), weights[best])


def test_epochs_without_a_score_are_not_stale():
    scored = np.flatnonzero(is_scored(64, 1))
    n_in_first_valley = int((scored < 32).sum())
    model = in_cycles([1.0] + [0.0] * 99, n_cycles=1, n_iter_no_change=n_in_first_valley)
    # It ends with the first epoch after more stale ones than that.
    assert model.n_iter_ == scored[n_in_first_valley + 1] + 1 > 32


def test_without_early_stopping_all_epochs_are_validated():
    model = regressor(lr_schedule=MultiCycle(2), max_iter=12, diagnose=False)
    model.fit(X, Y, eval_set=(X, Y))
    assert model.n_iter_ == 12
    assert None not in model.history_["validation_loss"]


def test_a_fit_that_ends_before_the_first_score_is_scored_at_its_end():
    assert not is_scored(24)[0]
    model = in_cycles(n_epochs=24, callback=lambda model, epoch: epoch.validation_score is None)
    assert model.n_iter_ == 1 and np.isnan(model.validation_scores_).all()
    assert -np.inf < model.best_validation_score_ < 0


def test_a_model_file_keeps_the_schedule(tmp_path):
    model = in_cycles(n_epochs=11)
    save_model(model, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert loaded.lr_schedule == MultiCycle(4)
    np.testing.assert_array_equal(loaded.validation_scores_, model.validation_scores_)
