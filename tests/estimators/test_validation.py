"""Rows that are not trained on: eval_set, scoring, and what early stopping does with them."""

import warnings

import naive
import numpy as np
import pandas as pd
import pytest
import sklearn
from helpers import fit_quietly, flat
from scipy.sparse import csr_array
from sklearn.datasets import load_iris
from sklearn.metrics import accuracy_score, log_loss, make_scorer, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.utils.metadata_routing import get_routing_for_object

from fastmlp import MLPClassifier, MLPRegressor

IRIS, SPECIES = load_iris(return_X_y=True)
X, X_VAL, Y, Y_VAL = train_test_split(IRIS, SPECIES, random_state=0, test_size=40)
NAMES = np.array(["a", "b", "c"])
WEIGHT_VAL = np.linspace(0.2, 3, 40)


def classifier(**params):
    params = {"random_state": 0, "max_iter": 8, "hidden_layer_sizes": (9,), **params}
    return MLPClassifier(**params)


def regressor(**params):
    params = {"random_state": 0, "max_iter": 8, "hidden_layer_sizes": (9,), **params}
    return MLPRegressor(**params)


def after_each_epoch(model, n_epochs, *args):
    """The models that training for 1, 2, ... epochs gives."""
    fits = [type(model)(**model.get_params()) for _ in range(n_epochs)]
    for n, fit in enumerate(fits, start=1):
        fit.set_params(early_stopping=False, scoring=None)
        fit_quietly(fit, *args, callback=lambda epoch, n=n: epoch.epoch == n)
    return fits


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_curves_are_those_of_the_model_after_each_epoch(solver):
    model = classifier(solver=solver, max_iter=5)
    data = X, NAMES[Y]
    fit_quietly(model, *data, eval_set=(X_VAL, NAMES[Y_VAL], WEIGHT_VAL))
    found, models = model.history_, after_each_epoch(model, 5, *data)
    scores = [m.score(X_VAL, NAMES[Y_VAL], WEIGHT_VAL) for m in models]
    losses = [log_loss(Y_VAL, m.predict_proba(X_VAL), sample_weight=WEIGHT_VAL) for m in models]
    assert found["validation_score"] == pytest.approx(scores)
    assert found["validation_loss"] == pytest.approx(losses, rel=1e-9)
    # They are looked at, and nothing else.
    np.testing.assert_array_equal(flat(model), flat(models[-1]))
    assert model.validation_scores_ is None and model.best_validation_score_ is None


def test_curves_of_a_regressor():
    model = regressor(max_iter=4)
    fit_quietly(model, X, X[:, :2] * 0.1, eval_set=(X_VAL, X_VAL[:, :2] * 0.1))
    for n, fit in enumerate(after_each_epoch(model, 4, X, X[:, :2] * 0.1)):
        errors = fit.predict(X_VAL) - X_VAL[:, :2] * 0.1
        assert model.history_["validation_loss"][n] == pytest.approx((errors**2).mean() / 2)
        score = fit.score(X_VAL, X_VAL[:, :2] * 0.1)
        assert model.history_["validation_score"][n] == pytest.approx(score)


def test_the_callback_is_told():
    epochs = []
    fit_quietly(classifier(), X, Y, eval_set=(X_VAL, Y_VAL), callback=epochs.append)
    assert [e.validation_loss for e in epochs] and epochs[-1].gradient_norm is None
    model = fit_quietly(classifier(), X, Y, eval_set=(X_VAL, Y_VAL))
    assert [e.validation_loss for e in epochs] == model.history_["validation_loss"]
    assert [e.validation_score for e in epochs] == model.history_["validation_score"]
    told = []
    fit_quietly(classifier(), X, Y, callback=told.append)
    assert told[-1].validation_loss is None and told[-1].validation_score is None


def test_early_stopping_trains_on_all_rows_and_keeps_the_best_weights():
    model = classifier(
        early_stopping=True, max_iter=60, learning_rate_init=0.03, n_iter_no_change=4
    )
    fit_quietly(model, X, Y, eval_set=(X_VAL, Y_VAL))
    assert model.t_ == model.n_iter_ * len(X)
    assert model.n_iter_ < 60
    assert model.validation_scores_ == model.history_["validation_score"]
    best = int(np.argmax(model.validation_scores_))
    assert best < model.n_iter_ - 1 and model.best_validation_score_ == max(
        model.validation_scores_
    )
    expected = after_each_epoch(model, best + 1, X, Y)[-1]
    np.testing.assert_array_equal(flat(model), flat(expected))
    assert model.score(X_VAL, Y_VAL) == model.best_validation_score_


def test_validation_loss_of_the_split_only_where_it_was_asked_for():
    plain = fit_quietly(classifier(early_stopping=True), X, Y)
    assert set(plain.history_) == {"loss", "learning_rate", "seconds", "validation_score"}
    for params in ({"monitor": True}, {"scoring": "loss"}):
        model = fit_quietly(classifier(early_stopping=True, **params), X, Y)
        assert len(model.history_["validation_loss"]) == model.n_iter_
    by_loss = model
    assert by_loss.validation_scores_ == [-v for v in model.history_["validation_loss"]]
    # The split and the training are the same.
    assert by_loss.loss_curve_ == plain.loss_curve_


def test_the_least_validation_loss_is_kept():
    model = classifier(early_stopping=True, scoring="loss", learning_rate_init=0.1, max_iter=40)
    fit_quietly(model, X, Y, eval_set=(X_VAL, Y_VAL))
    least = min(model.history_["validation_loss"])
    assert log_loss(Y_VAL, model.predict_proba(X_VAL)) == pytest.approx(least)
    assert least < model.history_["validation_loss"][-1]


SCORERS = {
    "balanced_accuracy": lambda m: sklearn.metrics.balanced_accuracy_score(
        NAMES[Y_VAL], m.predict(X_VAL)
    ),
    "roc_auc_ovr": lambda m: roc_auc_score(Y_VAL, m.predict_proba(X_VAL), multi_class="ovr"),
    "neg_log_loss": lambda m: -log_loss(Y_VAL, m.predict_proba(X_VAL)),
}


@pytest.mark.parametrize("name", SCORERS)
@pytest.mark.parametrize("as_object", [False, True])
def test_scorers_of_scikit_learn(name, as_object):
    scoring = sklearn.metrics.get_scorer(name) if as_object else name
    model = classifier(scoring=scoring, max_iter=4)
    fit_quietly(model, X, NAMES[Y], eval_set=(X_VAL, NAMES[Y_VAL]))
    expected = [SCORERS[name](m) for m in after_each_epoch(model, 4, X, NAMES[Y])]
    assert model.history_["validation_score"] == pytest.approx(expected)


def test_scorers_see_the_held_out_rows_with_their_labels():
    seen = []

    def scoring(estimator, rows, labels):
        seen.append((rows, labels, estimator.predict(rows)))
        return -len(seen)

    frame = pd.DataFrame(X, columns=list("pqrs"))
    model = classifier(early_stopping=True, scoring=scoring, n_iter_no_change=2)
    fit_quietly(model, frame, NAMES[Y])  # without a warning about names of columns
    assert model.validation_scores_ == [-1, -2, -3, -4] and model.best_validation_score_ == -1
    rows, labels, predicted = seen[0]
    assert rows.shape == (11, 4) and set(labels) <= set(NAMES) and set(predicted) <= set(NAMES)
    best = model.predict(pd.DataFrame(rows, columns=list("pqrs")))
    np.testing.assert_array_equal(predicted, best)


def test_scorers_get_sample_weights_where_they_take_them():
    weighted = classifier(scoring="accuracy", max_iter=2)
    fit_quietly(weighted, X, Y, eval_set=(X_VAL, Y_VAL, WEIGHT_VAL))
    after = after_each_epoch(weighted, 2, X, Y)
    expected = [accuracy_score(Y_VAL, m.predict(X_VAL), sample_weight=WEIGHT_VAL) for m in after]
    assert weighted.history_["validation_score"] == pytest.approx(expected)

    def share(y_true, y_pred):
        return (y_true == y_pred).mean()

    plain = classifier(scoring=make_scorer(share), max_iter=2)
    fit_quietly(plain, X, Y, eval_set=(X_VAL, Y_VAL, WEIGHT_VAL))
    expected = [share(Y_VAL, m.predict(X_VAL)) for m in after]
    assert plain.history_["validation_score"] == pytest.approx(expected)


def test_balanced_classes_are_those_of_training():
    train = np.r_[np.arange(70)[Y[:70] == 0][:10], np.flatnonzero(Y == 1), np.flatnonzero(Y == 2)]
    one_class = X_VAL[Y_VAL == 0], Y_VAL[Y_VAL == 0]
    model = classifier(class_weight="balanced", max_iter=2)
    fit_quietly(model, X[train], Y[train], eval_set=one_class)
    # Equal weights within a class cancel out in the mean.
    expected = log_loss(one_class[1], model.predict_proba(one_class[0]), labels=[0, 1, 2])
    assert model.history_["validation_loss"][-1] == pytest.approx(expected)
    both = X_VAL, Y_VAL
    fit_quietly(model, X[train], Y[train], eval_set=both)
    by_class = len(train) / (3 * np.bincount(Y[train]))
    expected = log_loss(Y_VAL, model.predict_proba(X_VAL), sample_weight=by_class[Y_VAL])
    assert model.history_["validation_loss"][-1] == pytest.approx(expected)


def test_balanced_labels_are_those_of_training():
    labels, labels_val = np.c_[Y > 0, Y > 1].astype(int), np.c_[Y_VAL > 0, Y_VAL > 1].astype(int)
    model = classifier(class_weight="balanced", max_iter=2)
    fit_quietly(model, X, labels, eval_set=(X_VAL, labels_val))
    weight = np.ones(40)
    for column in range(2):
        counts = np.bincount(labels[:, column])
        weight *= (len(Y) / (2 * counts))[labels_val[:, column]]
    P = model.predict_proba(X_VAL)
    rows = naive.row_losses("binary_cross_entropy", labels_val.astype(float), P)
    expected = np.average(rows, weights=weight)
    assert model.history_["validation_loss"][-1] == pytest.approx(expected)


def test_other_kinds_of_rows():
    expected = fit_quietly(classifier(), X, Y, eval_set=(X_VAL, Y_VAL)).history_
    as_lists = fit_quietly(classifier(), X, Y, eval_set=[X_VAL.tolist(), Y_VAL.tolist()]).history_
    assert as_lists["validation_loss"] == expected["validation_loss"]
    sparse = classifier()
    fit_quietly(sparse, csr_array(X), Y, eval_set=(csr_array(X_VAL), Y_VAL, None))
    assert sparse.history_["validation_loss"] == pytest.approx(expected["validation_loss"])
    single = classifier()
    fit_quietly(single, X.astype(np.float32), Y, eval_set=(X_VAL, Y_VAL))
    found = single.history_["validation_loss"]
    assert found == pytest.approx(expected["validation_loss"], rel=1e-4)


@pytest.mark.parametrize(
    ("eval_set", "message"),
    [
        (X_VAL, r"must be a tuple .* got a ndarray; pass eval_set="),
        ((X_VAL,), "got a tuple of 1"),
        ((X_VAL, Y_VAL[:-1]), "inconsistent numbers of samples"),
        ((X_VAL[:, :3], Y_VAL), r"X has 3 features.*expecting 4.*the same columns"),
        ((X_VAL * np.nan, Y_VAL), "contains NaN"),
        ((X_VAL, Y_VAL + 1), r"has classes not in .*only classes that y has"),
        ((X_VAL, Y_VAL, WEIGHT_VAL[1:]), "sample_weight"),
        ((X_VAL, Y_VAL, 0 * WEIGHT_VAL), "at least one non-zero number. It needs"),
        ((pd.DataFrame(X_VAL, columns=list("pqrt")), Y_VAL), "feature names should match"),
    ],
)
def test_rows_that_do_not_fit(eval_set, message):
    frame = isinstance(eval_set[0], pd.DataFrame)
    rows = pd.DataFrame(X, columns=list("pqrs")) if frame else X
    with pytest.raises(ValueError, match=r"(?s)eval_set.*" + message):
        classifier().fit(rows, Y, eval_set=eval_set)


def test_targets_of_another_width_and_negative_counts():
    with pytest.raises(ValueError, match="y has 2 outputs, that of training 1"):
        regressor().fit(X, Y, eval_set=(X_VAL, np.c_[Y_VAL, Y_VAL]))
    with pytest.raises(ValueError, match=r"eval_set.*negative"):
        regressor(loss="poisson").fit(X, Y, eval_set=(X_VAL, Y_VAL - 9))


def test_scoring_needs_rows_and_one_number():
    with pytest.raises(ValueError, match=r"needs rows to score: set early_stopping=True"):
        classifier(scoring="accuracy").fit(X, Y)
    with pytest.raises(ValueError, match=r"needs rows to score"):
        classifier(scoring="accuracy", solver="lbfgs", early_stopping=True).fit(X, Y)
    with pytest.raises(ValueError, match="partial_fit scores no rows: leave scoring=None"):
        classifier(scoring="loss").partial_fit(X, Y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="'acuracy'"):
        classifier(scoring="acuracy").fit(X, Y, eval_set=(X_VAL, Y_VAL))
    with pytest.raises(ValueError, match="must give one number, got dict"):
        classifier(scoring=lambda *args: {}).fit(X, Y, eval_set=(X_VAL, Y_VAL))


@pytest.mark.parametrize("score", [np.nan, -np.inf])
def test_scores_that_compare_with_nothing(score):
    with pytest.raises(ValueError, match="for finite predictions, so that early stopping cannot"):
        classifier(scoring=lambda *args: score, early_stopping=True).fit(X, Y)


def test_scorers_that_cannot_score_say_whose_fault_it_is():
    for scoring in ("roc_auc", lambda model, X, y: X["a"]):
        with pytest.raises(ValueError, match=r"scoring=.* cannot score the validation rows: "):
            classifier(scoring=scoring).fit(X, Y, eval_set=(X_VAL, Y_VAL))


def test_validation_rows_without_weight():
    only = (X_VAL[Y_VAL == 0], Y_VAL[Y_VAL == 0])
    model = classifier(class_weight={0: 0, 1: 1, 2: 1}, batch_size=len(X))
    with pytest.raises(ValueError, match="the weights of eval_set are all zero"):
        model.fit(X, Y, eval_set=only)


def test_one_row_has_no_r2():
    with pytest.raises(ValueError, match=r"one row, and R\^2 needs two"):
        MLPRegressor().fit(X, Y, eval_set=(X_VAL[:1], Y_VAL[:1]))


def test_validation_loss_is_that_of_smoothed_targets():
    model = classifier(label_smoothing=0.3, alpha=0, max_iter=2, learning_rate_init=1e-12,
                       batch_size=len(X))  # fmt: skip
    history = fit_quietly(model, X, Y, eval_set=(X, Y)).history_
    np.testing.assert_allclose(history["validation_loss"], history["loss"], rtol=1e-6)


def test_best_weights_of_an_earlier_fit_are_scored_on_the_rows_of_this_one():
    labels = (X[:, 0] > np.median(X[:, 0])).astype(int)
    model = MLPClassifier(
        (20,), early_stopping=True, warm_start=True, max_iter=60, random_state=0,
        learning_rate_init=0.01, n_iter_no_change=60, diagnose=False,
    )  # fmt: skip
    fit_quietly(model, X, labels, eval_set=(X, labels))
    assert model.best_validation_score_ > 0.8
    fit_quietly(model, X, 1 - labels, eval_set=(X, 1 - labels))
    assert model.score(X, 1 - labels) == model.best_validation_score_ > 0.8


def test_a_failing_fit_leaves_the_estimator_as_it_was():
    model = fit_quietly(classifier(max_iter=3, diagnose=False), X, Y)
    before = {**vars(model), "history_": {k: list(v) for k, v in model.history_.items()}}
    losses = list(model.loss_curve_)

    def fail(epoch):
        raise RuntimeError("no disk")

    for error, fit_params in (
        (ValueError, {"eval_set": (X_VAL[:, :2], Y_VAL)}),
        (RuntimeError, {"callback": fail}),
    ):
        for warm_start in (False, True):
            with pytest.raises(error):
                model.set_params(warm_start=warm_start).fit(X, Y, **fit_params)
            after = {**vars(model), "warm_start": before["warm_start"]}
            assert after.keys() == before.keys() and model.loss_curve_ == losses
            assert all(np.array_equal(a, b) for a, b in
                       zip(model.coefs_, before["coefs_"], strict=True))  # fmt: skip
            assert model.history_ == before["history_"]
    fresh = classifier()
    with pytest.raises(RuntimeError, match="no disk"):
        fresh.fit(X, Y, callback=fail)
    assert not hasattr(fresh, "coefs_")


def test_ctrl_c_while_scoring_forgets_that_epoch():
    calls = []

    def scorer(model, X, y):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return 0.0

    model = classifier(scoring=scorer, early_stopping=True)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model.fit(X, Y)
    assert model.n_iter_ == len(model.loss_curve_) == len(model.validation_scores_) == 2
    assert {len(numbers) for numbers in model.history_.values()} == {2}


def test_weights_stay_where_the_warning_of_ctrl_c_is_an_error():
    def interrupt(epoch):
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    model = classifier()
    with pytest.raises(UserWarning, match="interrupted"), warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, Y, callback=interrupt)
    assert model.n_iter_ == 2 and model.score(X, Y) > 0


def test_another_scoring_begins_a_new_best():
    model = classifier(early_stopping=True, warm_start=True)
    fit_quietly(model, X, Y)
    assert model.best_validation_score_ >= 0
    fit_quietly(model.set_params(scoring="loss"), X, Y)
    assert model.best_validation_score_ < 0
    np.testing.assert_array_equal(model._best_coefs[0], model.coefs_[0])


def test_metadata_routing_ignores_what_is_no_metadata():
    with sklearn.config_context(enable_metadata_routing=True):
        requests = get_routing_for_object(classifier()).fit.requests
        assert requests == {"sample_weight": None}
        fit_quietly(make_pipeline(classifier()), X, Y)


@pytest.mark.parametrize("model", [classifier, regressor])
def test_the_share_of_held_out_rows_is_checked_by_its_own_name(model):
    with pytest.raises(ValueError, match="validation_fraction must be above 0, got 0") as error:
        model(early_stopping=True, validation_fraction=0).fit(X, Y)
    assert "test_size" not in str(error.value)
    with pytest.raises(ValueError, match=r"validation_fraction=0.999 leaves 0 of 110 rows"):
        model(early_stopping=True, validation_fraction=0.999).fit(X, Y)
    with pytest.raises(ValueError, match="Increase 'validation_fraction'"):
        model(early_stopping=True, validation_fraction=1e-6).fit(X, Y < 1)
    # Nothing is held out, so that the share does not matter.
    fit_quietly(model(validation_fraction=0), X, Y)
    fit_quietly(model(early_stopping=True, validation_fraction=0), X, Y, eval_set=(X_VAL, Y_VAL))


def test_both_classes_are_on_both_sides_of_a_stratified_split():
    with pytest.raises(ValueError, match=r"leaves 1 of 110 rows to train on"):
        classifier(early_stopping=True, validation_fraction=0.99).fit(X, Y < 1)


def test_unknown_scores_get_the_nearest_names():
    with pytest.raises(ValueError, match=r"'roc_acu' is no .* mean 'roc_auc'") as error:
        classifier(early_stopping=True, scoring="roc_acu").fit(X, Y)
    assert len(str(error.value)) < 200
    with pytest.raises(ValueError, match=r"no score of scikit-learn; they are such"):
        classifier(early_stopping=True, scoring="@").fit(X, Y)
