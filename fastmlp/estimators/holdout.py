"""Validation: rows that are held out or given as `eval_set`, and their score after each epoch."""

import math
from typing import Any, NamedTuple, Self

import numpy as np
from sklearn.metrics import check_scoring, get_scorer_names
from sklearn.model_selection import train_test_split

from ..engines.devices import predict
from ..engines.engine import Engine, Matrix, Predictor, SomeRows
from ..engines.ranges import check_range
from ..exceptions import did_you_mean
from ..network.plan import TrainingPlan
from ..network.weights import attributes
from ..training.loop import Validation
from . import inputs
from ._sklearn import InvalidParameterError, takes_sample_weight, without_callbacks
from .targets import Targets, Weight


class Rows(NamedTuple):
    """Rows in the form that training needs, and in the form that scorers need."""

    X: Any
    """Features, of shape (n_rows, n_features): a matrix, or for validation also SomeRows."""
    Y: np.ndarray
    """Encoded targets, of shape (n_rows, n_outputs)."""
    weight: Weight
    """Weight of each row in training, which includes the weight of its class; None for one each."""
    y: np.ndarray
    """Targets as they were given, of shape (n_rows,) or (n_rows, n_outputs)."""
    given_weight: Weight
    """Sample weights as they were given, which scorers get; None for one each."""


class TrainedRows(NamedTuple):
    """The rows to train on, which may be some of those that an engine gets."""

    rows: Rows
    numbers: np.ndarray | None = None
    """Their numbers, int64, in the order of the first epoch before it is shuffled; None for all."""

    @property
    def order(self) -> np.ndarray:
        """Their numbers as an array."""
        return np.arange(self.rows.X.shape[0]) if self.numbers is None else self.numbers

    def all_as_one(self) -> Self:
        """Return the same rows without others among them, which copies them if there are any."""
        if self.numbers is None:
            return self
        rows = _taken(self.rows, self.numbers)
        return self._replace(rows=rows._replace(X=_copied(rows.X)), numbers=None)


class HeldRows(NamedTuple):
    """Numbers of rows of X that are not trained on, and validate a fit after each epoch.

    :func:`fastmlp.fit_many` gives them to ``fit`` in place of an `eval_set`.
    """

    numbers: np.ndarray
    """Different numbers, int64, of at least one row and not of all."""
    n_rows: int
    """Number of rows of X."""

    def others(self, n_rows: int) -> np.ndarray:
        """Return the numbers of all other rows, in increasing order.

        Raises
        ------
        ValueError
            When X has not as many rows as the numbers are for.
        """
        if n_rows != self.n_rows:
            raise ValueError(f"held_out is for {self.n_rows} rows, and X has {n_rows}")
        is_trained = np.ones(self.n_rows, dtype=bool)
        is_trained[self.numbers] = False
        return np.flatnonzero(is_trained)

    def of(self, estimator: Any, targets: Targets, rows: Rows) -> Rows:
        """Take these rows, as :func:`read_eval_set` reads those of an `eval_set`.

        Raises
        ------
        ValueError
            When they cannot be scored.
        """
        held = _taken(rows, self.numbers)
        _check_weight(held, "the rows of held_out")
        _check_score(estimator, targets, held, "held_out")
        return held


def _taken(rows: Rows, numbers: np.ndarray) -> Rows:
    """Take rows by their numbers; those of X are not copied."""
    first, is_range = int(numbers[0]), bool((np.diff(numbers) == 1).all())
    which = slice(first, first + numbers.size) if is_range else numbers
    X = rows.X[which] if is_range else SomeRows(rows.X, numbers)
    return Rows._make((X, *(None if array is None else array[which] for array in rows[1:])))


def _copied(X: Matrix | SomeRows) -> Matrix:
    """Return X as a matrix."""
    return X[:] if isinstance(X, SomeRows) else X


def hold_out(
    rows: Rows, targets: Targets, fraction: float, random_state: np.random.RandomState
) -> tuple[np.ndarray, Rows]:
    """Split rows into those to train on and those to validate on, without a copy of X.

    Parameters
    ----------
    rows : Rows
    targets : Targets
    fraction : float
        Share of the rows to validate on.
    random_state : numpy.random.RandomState
        It draws the rows of each part.

    Returns
    -------
    train : ndarray of shape (n_train,), int64
        Numbers of the rows to train on, in random order.
    validation : Rows

    Raises
    ------
    ValueError
        When fewer than two rows would be held out, when too few are left to train on, or when
        the weights of those held out are all zero.
    """
    strata = targets.strata(rows.Y)
    n_rows = rows.X.shape[0]
    n_held = math.ceil(fraction * n_rows)
    # Where a class has a single row, scikit-learn says below that it cannot be split.
    is_splittable = strata is None or np.unique(strata, return_counts=True)[1].min() > 1
    if n_held == 0 or (n_held == 1 and is_splittable):
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the size of "
            "your dataset."
        )
    # A stratified split needs a row of each of the two classes on both sides.
    if n_rows - n_held < (1 if strata is None else 2):
        raise ValueError(
            f"validation_fraction={fraction} leaves {n_rows - n_held} of {n_rows} rows to train "
            "on; lower it"
        )
    train, numbers = train_test_split(
        np.arange(n_rows), random_state=random_state, test_size=fraction, stratify=strata
    )
    held = _taken(rows, numbers)
    _check_weight(held, "the rows held out by validation_fraction")
    return train, held


def _check_weight(rows: Rows, which: str) -> None:
    if rows.weight is not None and not rows.weight.any():
        raise ValueError(
            f"the weights of {which} are all zero, so that no score is defined: check class_weight "
            "and sample_weight"
        )


def read_eval_set(estimator: Any, targets: Targets, eval_set: Any, trained: Rows) -> Rows:
    """Check and encode the rows of ``fit(..., eval_set=...)``, as X and y of ``fit`` were.

    Parameters
    ----------
    estimator : BaseMLP
        Its attributes about features have been set.
    targets : Targets
        They have learned the classes of the rows to train on.
    eval_set : tuple (X, y), tuple (X, y, sample_weight) or HeldRows
    trained : Rows
        The rows to train on, by which the weights of balanced classes are computed, or those that
        have the rows of a :class:`HeldRows` among them.

    Returns
    -------
    Rows

    Raises
    ------
    ValueError
        When `eval_set` is no such tuple, or does not fit the rows to train on.
    """
    if isinstance(eval_set, HeldRows):
        return eval_set.of(estimator, targets, trained)
    if not isinstance(eval_set, tuple | list) or len(eval_set) not in (2, 3):
        raise ValueError(
            "eval_set must be a tuple (X, y) or (X, y, sample_weight), "
            f"got {_described(eval_set)}; pass eval_set=(X_validation, y_validation)"
        )
    X, y, *weight = eval_set
    try:
        X, y = inputs.read_rows(estimator, X, y, reset=False, is_numeric=targets.is_numeric)
        targets.check_known(y, all_required=False)
        Y = targets.encode(y)
        if Y.shape[1] != trained.Y.shape[1]:
            raise ValueError(f"y has {Y.shape[1]} outputs, that of training {trained.Y.shape[1]}")
        for name, values in (("X", X), ("y", Y)):
            check_range(name, values, np.dtype(trained.X.dtype))
        given = inputs.read_weight(weight[0] if weight else None, X)
        counted = trained.y, trained.given_weight
        row_weight = targets.row_weight(y, given, counted=counted)
    except (ValueError, TypeError) as error:
        cause = str(error).strip().rstrip(".")
        raise ValueError(
            f"eval_set does not fit the rows of training: {cause}. It needs the same columns, "
            "prepared in the same way, and only classes that y has"
        ) from error
    rows = Rows(X, Y, row_weight, y, given)
    _check_weight(rows, "eval_set")
    _check_score(estimator, targets, rows, "eval_set")
    return rows


def _check_score(estimator: Any, targets: Targets, held: Rows, which: str) -> None:
    is_alone = held.X.shape[0] < 2
    if is_alone and estimator.scoring is None and not targets.is_scored_alone:
        raise ValueError(f"{which} has one row, and R^2 needs two; pass more, or scoring='loss'")


def _described(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


def mean_loss(
    engine: Predictor,
    Y: np.ndarray,
    outputs: np.ndarray,
    sample_weight: Weight = None,
) -> float:
    """Compute the mean loss of predictions, as training minimises it, without penalties.

    Parameters
    ----------
    engine : Predictor
    Y : ndarray of shape (n_rows, n_outputs)
        Targets as they are trained on.
    outputs : ndarray of shape (n_rows, n_outputs)
        Activations of the output layer.
    sample_weight : ndarray of shape (n_rows,) or None

    Returns
    -------
    float
        The mean in float64; NaN where outputs are not finite.
    """
    if not np.isfinite(outputs).all():
        return np.nan
    with np.errstate(over="ignore"):  # the loss then is infinite
        return float(np.average(engine.row_losses(Y, outputs), weights=sample_weight))


class FixedWeights(NamedTuple):
    """The network of an engine with other parameters, so that a :class:`Validator` can score it.

    It is a :class:`fastmlp.engines.engine.Predictor`.
    """

    engine: Engine
    theta: np.ndarray
    """The parameters, of shape (n_parameters,)."""
    device: str
    n_jobs: int | None

    @property
    def plan(self) -> TrainingPlan:
        """The plan of the engine."""
        return self.engine.plan

    def outputs(self, X: Matrix | SomeRows) -> np.ndarray:
        """Predict with the parameters; see :meth:`Predictor.outputs`."""
        return predict(self.device, self.plan, self.theta, _copied(X), self.n_jobs)

    def row_losses(self, Y: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """Compute the loss of each row; see :meth:`Predictor.row_losses`."""
        return self.engine.row_losses(Y, outputs)

    def pull(self) -> np.ndarray:
        """Return the parameters."""
        return self.theta


class Validator:
    """Computes the score, and if wanted the loss, of an engine's current parameters.

    Parameters
    ----------
    estimator : BaseMLP
    targets : Targets
    rows : Rows
        The rows to validate on.
    wants_loss : bool
        Whether the loss is computed even where it is not the score. Where `scoring` is a scorer
        this takes one more prediction.
    """

    def __init__(self, estimator: Any, targets: Targets, rows: Rows, wants_loss: bool) -> None:
        self._targets, self._rows = targets, rows
        self._scoring = estimator.scoring
        self._wants_loss = wants_loss or self._scoring == "loss"
        self._trained_Y = targets.to_train(rows.Y) if self._wants_loss else rows.Y
        if self._scoring not in (None, "loss"):
            self._scorer = _scorer(estimator)
            self._rows = rows._replace(X=_copied(rows.X))
            self._options = {}
            if rows.given_weight is not None and takes_sample_weight(self._scorer):
                self._options = {"sample_weight": rows.given_weight}
            self._copy = without_callbacks(estimator)
            vars(self._copy).pop("_optimizer", None)
            # X has no column names any more, of which a prediction would warn.
            vars(self._copy).pop("feature_names_in_", None)

    def __call__(self, engine: Predictor) -> Validation:
        """Score the rows, the higher the better, and compute their loss where that is wanted.

        Parameters
        ----------
        engine : Predictor

        Returns
        -------
        Validation
            Score and loss are NaN where predictions are not finite.
        """
        rows = self._rows
        if self._scoring is None:
            outputs = engine.outputs(rows.X)
            loss = self._loss(engine, outputs) if self._wants_loss else None
            is_finite = np.isfinite(outputs).all()
            score = self._targets.score(rows.Y, outputs, rows.weight) if is_finite else np.nan
            return Validation(score, loss)
        if not self._wants_loss:
            return Validation(self._score(engine))
        loss = self._loss(engine, engine.outputs(rows.X))
        return Validation(-loss if self._scoring == "loss" else self._score(engine), loss)

    def _loss(self, engine: Predictor, outputs: np.ndarray) -> float:
        return mean_loss(engine, self._trained_Y, outputs, self._rows.weight)

    def _score(self, engine: Predictor) -> float:
        """Score a copy of the estimator that has the engine's current parameters by the scorer.

        Raises
        ------
        ValueError
            When the scorer cannot score the rows, or returns no number.
        """
        rows = self._rows
        theta = engine.pull()
        if not np.isfinite(theta).all():
            return np.nan
        vars(self._copy).update(attributes(theta, engine.plan.layer_units))
        try:
            score = self._scorer(self._copy, rows.X, rows.y, **self._options)
        except Exception as error:
            cause = str(error).strip().rstrip(".")
            raise ValueError(
                f"scoring={self._scoring!r} cannot score the validation rows: {cause}. Choose a "
                "score that fits the target, or scoring=None"
            ) from error
        return _number(score, self._scoring)


def _scorer(estimator: Any) -> Any:
    """Return the scorer that an estimator's `scoring` names; raise ValueError where none has it."""
    scoring = estimator.scoring
    try:
        return check_scoring(estimator, scoring)
    except InvalidParameterError:
        others = "they are such as 'accuracy', 'roc_auc', 'r2' and 'neg_mean_absolute_error'"
        remedy = did_you_mean(scoring, [*get_scorer_names(), "loss"], others)
        raise ValueError(f"scoring={scoring!r} is no score of scikit-learn; {remedy}") from None


def _number(score: Any, scoring: Any) -> float:
    """Return a scorer's result as a float; raise ValueError where it cannot be compared."""
    try:
        score = float(score)
    except (TypeError, ValueError):
        raise ValueError(
            f"scoring={scoring!r} must give one number, got {type(score).__name__}"
        ) from None
    if not score > -np.inf:
        raise ValueError(
            f"scoring={scoring!r} gave {score} for finite predictions, so that early stopping "
            "cannot compare epochs; choose another score, or more validation rows"
        )
    return score
