"""Each of scikit-learn's meta-estimators that people put around a network, used once."""

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.datasets import load_iris, make_multilabel_classification, make_regression
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import SequentialFeatureSelector
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    HalvingGridSearchCV,
    cross_validate,
    learning_curve,
    validation_curve,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import (
    ClassifierChain,
    MultiOutputClassifier,
    MultiOutputRegressor,
    RegressorChain,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier

from fastmlp import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)
NUMBERS = make_regression(150, 4, noise=1, random_state=0)
NUMBERS = NUMBERS[0], NUMBERS[1] / NUMBERS[1].std()


def classifier(**params):
    return MLPClassifier(
        (12,), **{"learning_rate_init": 0.02, "max_iter": 40, "random_state": 0, **params}
    )


def regressor(**params):
    return MLPRegressor(
        "squared_error",
        (12,),
        **{"learning_rate_init": 0.02, "max_iter": 60, "random_state": 0, **params},
    )


def test_column_transformer_in_a_pipeline():
    colours = np.array(["red", "green", "blue"])[Y]
    table = np.c_[X.astype(object), colours]
    columns = make_column_transformer((StandardScaler(), [0, 1]), (OneHotEncoder(), [4]))
    assert make_pipeline(columns, classifier()).fit(table, Y).score(table, Y) == 1


def test_grid_search():
    search = GridSearchCV(classifier(), {"alpha": [1e-4, 1000.0]}, cv=3, n_jobs=2).fit(X, Y)
    assert search.best_params_ == {"alpha": 1e-4} and search.best_score_ > 0.9


def test_halving_grid_search():
    grid = {"alpha": [1e-4, 1000.0, 5000.0]}
    search = HalvingGridSearchCV(
        classifier(), grid, resource="max_iter", min_resources=5, max_resources=60, cv=3,
        random_state=0,
    ).fit(X, Y)  # fmt: skip
    assert search.best_params_["alpha"] == 1e-4 and search.n_iterations_ > 1


def test_cross_validate_with_several_scores():
    result = cross_validate(regressor(), *NUMBERS, cv=3, scoring=["r2", "neg_mean_squared_error"])
    assert result["test_r2"].min() > 0.9 and result["test_neg_mean_squared_error"].max() < 0


def test_incremental_learning_curve():
    sizes, _, test_scores = learning_curve(
        classifier(), X, Y, train_sizes=[0.1, 0.5, 1.0], cv=3, shuffle=True, random_state=0,
        exploit_incremental_learning=True,
    )  # fmt: skip
    assert sizes.tolist() == [10, 50, 100] and test_scores.shape == (3, 3)
    assert test_scores[-1].mean() > test_scores[0].mean()


def test_validation_curve():
    _, scores = validation_curve(
        classifier(), X, Y, param_name="max_iter", param_range=[1, 40], cv=3
    )
    assert scores[1].mean() > scores[0].mean()


def test_calibration():
    model = CalibratedClassifierCV(classifier(alpha=10), cv=3).fit(X, Y)
    raw = classifier(alpha=10).fit(X, Y)
    assert log_loss(Y, model.predict_proba(X)) < log_loss(Y, raw.predict_proba(X))


def test_stacking_and_voting():
    parts = [("mlp", classifier()), ("logistic", LogisticRegression())]
    assert StackingClassifier(parts, cv=3).fit(X, Y).score(X, Y) > 0.95
    assert VotingClassifier(parts, voting="soft").fit(X, Y).score(X, Y) > 0.95


def test_stacking_of_a_multilabel_problem():
    inputs, y = make_multilabel_classification(80, n_classes=3, random_state=0)
    parts = [("mlp", classifier(max_iter=100)), ("other", classifier(random_state=1))]
    final = classifier(max_iter=100)
    assert StackingClassifier(parts, final, cv=3).fit(inputs, y).score(inputs, y) > 0.5


def test_bagging_and_boosting():
    model = BaggingRegressor(regressor(), 5, max_samples=0.7, random_state=0).fit(*NUMBERS)
    assert model.score(*NUMBERS) > 0.95
    assert AdaBoostClassifier(classifier(), n_estimators=3).fit(X, Y).score(X, Y) > 0.9


def test_one_against_others():
    for wrapper in (OneVsRestClassifier, OneVsOneClassifier):
        model = wrapper(classifier()).fit(X, Y)
        assert model.score(X, Y) > 0.95 and len(model.estimators_) == 3


def test_several_outputs():
    labels = np.c_[Y > 0, Y > 1].astype(int)
    model = MultiOutputClassifier(classifier()).fit(X, labels)
    assert model.score(X, labels) > 0.9 and len(model.predict_proba(X)) == 2
    assert ClassifierChain(classifier()).fit(X, labels).score(X, labels) > 0.9
    inputs, y = NUMBERS
    targets = np.c_[y, -y]
    for wrapper in (MultiOutputRegressor, RegressorChain):
        assert wrapper(regressor()).fit(inputs, targets).score(inputs, targets) > 0.9


def test_transformed_target():
    inputs, y = NUMBERS
    model = TransformedTargetRegressor(regressor(), transformer=StandardScaler())
    assert model.fit(inputs, 1e5 + 1e3 * y).score(inputs, 1e5 + 1e3 * y) > 0.9


def test_threshold():
    model = FixedThresholdClassifier(classifier(), threshold=0.999).fit(X, Y > 1)
    assert model.predict(X).sum() < classifier().fit(X, Y > 1).predict(X).sum()


def test_self_training():
    some = np.where(np.arange(150) % 5 == 0, Y, -1)
    model = SelfTrainingClassifier(classifier()).fit(X, some)
    assert model.score(X, Y) > 0.8 and (model.transduction_ >= 0).sum() > 60


def test_feature_selection():
    # The petals, two of the four, tell the classes apart.
    selector = SequentialFeatureSelector(classifier(), n_features_to_select=1, cv=3).fit(X, Y)
    assert selector.get_support().tolist() in ([0, 0, 1, 0], [0, 0, 0, 1])


def test_permutation_importance():
    noise = np.random.RandomState(0).normal(size=(150, 1))
    inputs = np.hstack([X, noise])
    result = permutation_importance(classifier().fit(inputs, Y), inputs, Y, random_state=0)
    assert result.importances_mean[2:4].max() > 10 * abs(result.importances_mean[4])


def test_partial_dependence():
    rng = np.random.RandomState(0)
    inputs = rng.normal(size=(300, 2))
    model = regressor(max_iter=200).fit(inputs, 2 * inputs[:, 0])
    average = partial_dependence(model, inputs, [0], grid_resolution=10)["average"][0]
    grid = partial_dependence(model, inputs, [0], grid_resolution=10)["grid_values"][0]
    slope = np.polyfit(grid, average, 1)[0]
    assert abs(slope - 2) < 0.1
