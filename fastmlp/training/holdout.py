"""Rows that are not trained on: held out or given, scored after each epoch."""

import copy
from inspect import signature
from typing import NamedTuple

import numpy as np
from scipy.sparse import spmatrix
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import _check_sample_weight

from ..engines.devices import host_array
from ..network.weights import attributes
from .loop import Validation


class Rows(NamedTuple):
    """Rows as they are trained on, and as they were given.

    The weights that training uses include those of classes; scorers get those that were given.
    """

    X: "np.ndarray | spmatrix"
    Y: np.ndarray
    weight: np.ndarray | None
    y: np.ndarray
    given_weight: np.ndarray | None


def hold_out(estimator, rows):
    """Split rows into those to train on and `validation_fraction` of them to validate on.

    Parameters
    ----------
    estimator : BaseMLP
        Its random state makes the split.
    rows : Rows

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
        *given,
        random_state=estimator._random_state,
        test_size=estimator.validation_fraction,
        stratify=rows.Y if estimator._stratify() else None,
    )
    if parts[1].shape[0] < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the size of "
            "your dataset."
        )
    train, held = iter(parts[0::2]), iter(parts[1::2])
    train, held = (
        Rows(*(None if array is None else next(part) for array in rows)) for part in (train, held)
    )
    _check_weight(held, "the rows held out by validation_fraction")
    return train, held


def _check_weight(rows, which):
    if rows.weight is not None and not rows.weight.any():
        raise ValueError(
            f"the weights of {which} are all zero, so that no score is defined: check class_weight "
            "and sample_weight"
        )


def read_eval_set(estimator, eval_set, trained):
    """The rows of ``fit(..., eval_set=...)``, validated as X and y were.

    Parameters
    ----------
    estimator : BaseMLP
        It knows features and classes already.
    eval_set : tuple (X, y) or (X, y, sample_weight)
    trained : Rows
        Of training; they decide the weights of balanced classes.

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
        X, Y, y = estimator._encode(X, y, first_pass=False, incremental=True)
        if Y.shape[1] != trained.Y.shape[1]:
            raise ValueError(f"y has {Y.shape[1]} outputs, that of training {trained.Y.shape[1]}")
        given = None
        if weight and weight[0] is not None:
            given = _check_sample_weight(host_array(weight[0]), X)
        weight = estimator._weigh(y, given, False, trained)
    except (ValueError, TypeError) as error:
        cause = str(error).strip().rstrip(".")
        raise ValueError(
            f"eval_set does not fit the rows of training: {cause}. It needs the same columns, "
            "prepared in the same way, and only classes that y has"
        ) from error
    rows = Rows(X, Y, weight, y, given)
    _check_weight(rows, "eval_set")
    if X.shape[0] < 2 and estimator.scoring is None and not hasattr(estimator, "classes_"):
        raise ValueError("eval_set has one row, and R^2 needs two; pass more, or scoring='loss'")
    return rows


def mean_loss(engine, Y, outputs, sample_weight=None):
    """Mean loss of predictions, of the kind that training minimises, without penalties.

    Parameters
    ----------
    engine : engine
        It has ``row_losses(Y, outputs)``.
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


class Fixed(NamedTuple):
    """Parameters with what a :class:`Validator` asks an engine for."""

    plan: object
    theta: np.ndarray
    predict: object

    def outputs(self, X):
        """Predictions."""
        return self.predict(self.plan, self.theta, X)

    def row_losses(self, Y, outputs):
        """Losses of rows by their predictions, as an engine has them; on the CPU."""
        from ..engines.cpu.row_losses import row_losses  # late: it imports numba

        return row_losses(self.plan, Y, outputs)

    def pull(self):
        """The parameters."""
        return self.theta


def _described(value):
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


class Validator:
    """Validates an engine's current parameters.

    Parameters
    ----------
    estimator : BaseMLP
    rows : Rows
    wants_loss : bool
        Whether the loss is wanted, too; computing it costs a prediction where `scoring` is a
        scorer.
    """

    def __init__(self, estimator, rows, wants_loss):
        self._estimator, self._rows = estimator, rows
        self._scoring = estimator.scoring
        self._wants_loss = wants_loss or self._scoring == "loss"
        if self._scoring not in (None, "loss"):
            self._scorer = check_scoring(estimator, self._scoring)
            self._options = _weight_option(self._scorer, rows.given_weight)
            self._copy = copy.copy(estimator)
            for name in ("feature_names_in_", "_skl_callbacks", "_callback_fit_ctx", "_optimizer"):
                # Rows have lost their names, which would be a warning.
                self._copy.__dict__.pop(name, None)

    def __call__(self, engine):
        """Score, the higher the better, and loss; not a number where predictions are not finite.

        Parameters
        ----------
        engine : engine

        Returns
        -------
        Validation
        """
        outputs = loss = None
        if self._scoring in (None, "loss") or self._wants_loss:
            outputs = engine.outputs(self._rows.X)
        if self._wants_loss:
            targets = self._estimator._training_targets(self._rows.Y)
            loss = mean_loss(engine, targets, outputs, self._rows.weight)
        return Validation(self._score(engine, outputs, loss), loss)

    def _score(self, engine, outputs, loss):
        if self._scoring == "loss":
            return -loss
        rows = self._rows
        if self._scoring is None:
            if not np.isfinite(outputs).all():
                return np.nan
            return self._estimator._score_outputs(rows.Y, outputs, rows.weight)
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


def _weight_option(scorer, weight):
    """The sample weights as a keyword, for scorers that take them."""
    if weight is None:
        return {}
    function = getattr(scorer, "_score_func", None) or getattr(scorer, "func", scorer)
    if "sample_weight" in signature(function).parameters:
        return {"sample_weight": weight}
    return {}


def _number(score, scoring):
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
