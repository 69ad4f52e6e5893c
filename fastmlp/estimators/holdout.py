"""Rows that are not trained on: held out or given, scored after each epoch."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split

from ..engines.devices import predict
from ..engines.engine import Engine, Matrix
from ..network.plan import TrainingPlan
from ..network.weights import attributes
from ..training.loop import Validation
from . import inputs
from ._sklearn import takes_sample_weight, without_callbacks
from .targets import Targets, Weight


class Rows(NamedTuple):
    """Rows as they are trained on, and as they were given.

    The weights that training uses include those of classes; scorers get those that were given.
    """

    X: Matrix
    Y: np.ndarray
    weight: Weight
    y: np.ndarray
    given_weight: Weight


def hold_out(
    rows: Rows, targets: Targets, fraction: float, random_state: np.random.RandomState
) -> tuple[Rows, Rows]:
    """Split rows into those to train on and those to validate on.

    Parameters
    ----------
    rows : Rows
    targets : Targets
    fraction : float
        Share of the rows to validate on.
    random_state : numpy.random.RandomState
        It makes the split.

    Returns
    -------
    train, validation : Rows

    Raises
    ------
    ValueError
        When fewer than two rows would be held out.
    """
    given = [array for array in rows if array is not None]
    parts = train_test_split(
        *given, random_state=random_state, test_size=fraction, stratify=targets.strata(rows.Y)
    )
    if parts[1].shape[0] < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the size of "
            "your dataset."
        )
    train, held = (
        Rows(*(None if array is None else next(part) for array in rows))
        for part in (iter(parts[0::2]), iter(parts[1::2]))
    )
    _check_weight(held, "the rows held out by validation_fraction")
    return train, held


def _check_weight(rows: Rows, which: str) -> None:
    if rows.weight is not None and not rows.weight.any():
        raise ValueError(
            f"the weights of {which} are all zero, so that no score is defined: check class_weight "
            "and sample_weight"
        )


def read_eval_set(estimator: Any, targets: Targets, eval_set: Any, trained: Rows) -> Rows:
    """Read the rows of ``fit(..., eval_set=...)``, validated as X and y were.

    Parameters
    ----------
    estimator : BaseMLP
        It knows its features already.
    targets : Targets
        Learned from the rows of training.
    eval_set : tuple (X, y) or (X, y, sample_weight)
    trained : Rows
        Those of training; they decide the weights of balanced classes.

    Returns
    -------
    Rows

    Raises
    ------
    ValueError
        When it is no such tuple, or does not fit the data that is trained on.
    """
    if not isinstance(eval_set, tuple | list) or len(eval_set) not in (2, 3):
        raise ValueError(
            "eval_set must be a tuple (X, y) or (X, y, sample_weight), "
            f"got {_described(eval_set)}; pass eval_set=(X_validation, y_validation)"
        )
    X, y, *weight = eval_set
    try:
        X, y = inputs.read_rows(estimator, X, y, reset=False, is_numeric=targets.is_numeric)
        y = inputs.flatten_column(y)
        targets.check_known(y, all_required=False)
        Y = targets.encode(y)
        if Y.shape[1] != trained.Y.shape[1]:
            raise ValueError(f"y has {Y.shape[1]} outputs, that of training {trained.Y.shape[1]}")
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
    if X.shape[0] < 2 and estimator.scoring is None and not targets.is_scored_alone:
        raise ValueError("eval_set has one row, and R^2 needs two; pass more, or scoring='loss'")
    return rows


def _described(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


def mean_loss(
    engine: "Engine | FixedWeights",
    Y: np.ndarray,
    outputs: np.ndarray,
    sample_weight: Weight = None,
) -> float:
    """Return the mean loss of predictions, as training minimises it, without penalties.

    Parameters
    ----------
    engine : Engine or FixedWeights
    Y : ndarray of shape (n_rows, n_outputs)
        Targets as they are trained on.
    outputs : ndarray of shape (n_rows, n_outputs)
        Activations of the output layer.
    sample_weight : ndarray of shape (n_rows,) or None

    Returns
    -------
    float
        In float64; not a number where outputs are not finite.
    """
    if not np.isfinite(outputs).all():
        return np.nan
    with np.errstate(over="ignore"):  # infinity is the right word for it
        return float(np.average(engine.row_losses(Y, outputs), weights=sample_weight))


class FixedWeights(NamedTuple):
    """Other parameters for an engine's network, with what a :class:`Validator` asks it for."""

    engine: Engine
    theta: np.ndarray
    device: str
    n_jobs: int | None

    @property
    def plan(self) -> TrainingPlan:
        """The engine's plan."""
        return self.engine.plan

    def outputs(self, X: Matrix) -> np.ndarray:
        """Predict with the parameters."""
        return predict(self.device, self.plan, self.theta, X, self.n_jobs)

    def row_losses(self, Y: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """Compute the loss of each row; see :class:`fastmlp.engines.engine.Engine`."""
        return self.engine.row_losses(Y, outputs)

    def pull(self) -> np.ndarray:
        """Return the parameters."""
        return self.theta


class Validator:
    """Validates an engine's current parameters.

    Parameters
    ----------
    estimator : BaseMLP
    targets : Targets
    rows : Rows
    wants_loss : bool
        Whether the loss is wanted, too; computing it costs a prediction where `scoring` is a
        scorer.
    """

    def __init__(self, estimator: Any, targets: Targets, rows: Rows, wants_loss: bool) -> None:
        self._targets, self._rows = targets, rows
        self._scoring = estimator.scoring
        self._wants_loss = wants_loss or self._scoring == "loss"
        if self._scoring not in (None, "loss"):
            self._scorer = check_scoring(estimator, self._scoring)
            self._options = {}
            if rows.given_weight is not None and takes_sample_weight(self._scorer):
                self._options = {"sample_weight": rows.given_weight}
            self._copy = without_callbacks(estimator)
            vars(self._copy).pop("_optimizer", None)
            # Rows have lost their names, which would be a warning.
            vars(self._copy).pop("feature_names_in_", None)

    def __call__(self, engine: Engine | FixedWeights) -> Validation:
        """Score the rows, the higher the better, and compute their loss where that is wanted.

        Parameters
        ----------
        engine : Engine or FixedWeights

        Returns
        -------
        Validation
            Not a number where predictions are not finite.
        """
        outputs = loss = None
        if self._scoring in (None, "loss") or self._wants_loss:
            outputs = engine.outputs(self._rows.X)
        if self._wants_loss:
            Y = self._targets.to_train(self._rows.Y)
            loss = mean_loss(engine, Y, outputs, self._rows.weight)
        return Validation(self._score(engine, outputs, loss), loss)

    def _score(
        self, engine: Engine | FixedWeights, outputs: np.ndarray | None, loss: float | None
    ) -> float:
        if self._scoring == "loss":
            return -loss
        rows = self._rows
        if self._scoring is None:
            if not np.isfinite(outputs).all():
                return np.nan
            return self._targets.score(rows.Y, outputs, rows.weight)
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


def _number(score: Any, scoring: Any) -> float:
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
