"""Targets: how labels and numbers become the matrix that a network learns, and back.

The classifier and the regressor each have a class of targets. A fit asks their object for
everything that differs between classes and numbers.
"""

from numbers import Real
from typing import Any, Protocol, Self, TypeAlias

import numpy as np
from sklearn.metrics import accuracy_score, d2_pinball_score, r2_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from sklearn.utils.multiclass import unique_labels

from ..network.plan import Loss, LossFunctions

# Weight of each row, of shape (n_rows,); None gives each the weight one.
Weight: TypeAlias = np.ndarray | None


class Targets(Protocol):
    """What a fit needs to know about its targets.

    Attributes
    ----------
    is_numeric : bool
        Whether y has to be numbers.
    is_learned : bool
        Whether :meth:`encode` can be called: all that has to be learned of y was learned.
    is_scored_alone : bool
        Whether one row is enough for a score.
    needs_scale : bool
        Whether it is advisable to standardise y, like X.
    loss : Loss
        The loss that training minimises.
    custom_loss : tuple of functions or None
        See :class:`fastmlp.network.plan.TrainingPlan`.
    """

    is_numeric: bool
    is_scored_alone: bool
    needs_scale: bool

    @property
    def is_learned(self) -> bool:
        """Whether :meth:`encode` can be called."""

    @property
    def loss(self) -> Loss:
        """The loss that training minimises."""

    @property
    def custom_loss(self) -> LossFunctions | None:
        """The functions of a custom loss."""

    def loss_parameters(self, n_outputs: int) -> tuple[float, ...]:
        """Return the parameter of the loss for each output, or () where it has none."""

    def learned_from(self, y: np.ndarray) -> Self:
        """Return targets that have learned what they need of y, such as its classes."""

    def check_known(self, y: np.ndarray, all_required: bool) -> None:
        """Raise ValueError unless y fits what was learned."""

    def encode(self, y: np.ndarray) -> np.ndarray:
        """Return y as a matrix of shape (n_rows, n_outputs)."""

    def to_train(self, Y: np.ndarray) -> np.ndarray:
        """Return the matrix that the network is trained on, for an encoded one."""

    def row_weight(
        self,
        y: np.ndarray,
        sample_weight: Weight,
        incremental: bool = False,
        counted: tuple[np.ndarray, Weight] | None = None,
    ) -> Weight:
        """Return the weight of each row in the loss."""

    def score(self, Y: np.ndarray, outputs: np.ndarray, sample_weight: Weight) -> float:
        """Compute the score of outputs: the higher the better."""

    def strata(self, Y: np.ndarray) -> np.ndarray | None:
        """Return the labels by which a validation split is stratified, or None."""

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of a fitted estimator that hold what was learned."""


class ClassTargets:
    """Exclusive classes, or a multilabel indicator matrix.

    Parameters
    ----------
    loss : {'log_loss', 'margin'}
    label_smoothing : float
        Share of each target's probability that is spread over all classes.
    rho : float
        The margin from which on the margin loss is zero.
    class_weight : dict, 'balanced', list of dict or None
    label_binarizer : LabelBinarizer or None
        The encoder of an earlier fit; None where there is none.

    Raises
    ------
    ValueError
        When the parameters cannot be used together.
    """

    is_numeric = False
    is_scored_alone = True
    needs_scale = False
    custom_loss = None

    def __init__(
        self,
        loss: str,
        label_smoothing: float = 0.0,
        rho: float = 1.0,
        class_weight: Any = None,
        label_binarizer: LabelBinarizer | None = None,
    ) -> None:
        if loss == "margin" and label_smoothing > 0:
            raise ValueError(
                "label_smoothing is for loss='log_loss'; the margin loss has one true class"
            )
        self._is_margin = loss == "margin"
        self._label_smoothing = label_smoothing
        self._rho = float(rho)
        self._class_weight = class_weight
        self._binarizer = label_binarizer

    @property
    def is_learned(self) -> bool:
        """Whether the classes are known."""
        return self._binarizer is not None

    @property
    def binarizer(self) -> LabelBinarizer:
        """The encoder of labels.

        Raises
        ------
        AttributeError
            When no classes have been learned yet.
        """
        if self._binarizer is None:
            raise AttributeError("no classes have been learned yet")
        return self._binarizer

    def learned_from(self, y: np.ndarray) -> Self:
        """Return targets that have learned the classes in y."""
        return type(self)(
            "margin" if self._is_margin else "log_loss",
            self._label_smoothing,
            self._rho,
            self._class_weight,
            LabelBinarizer().fit(y),
        )

    def check_known(self, y: np.ndarray, all_required: bool) -> None:
        """Raise ValueError unless the labels in `y` fit the classes of an earlier fit.

        Parameters
        ----------
        y : array-like of shape (n_rows,) or (n_rows, n_outputs)
        all_required : bool
            Whether `y` must contain every class, as for a warm start. Otherwise a part of the
            known classes is enough.
        """
        classes, found = self.binarizer.classes_, unique_labels(y)
        if all_required:
            if set(found) != set(classes):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the "
                    f"previous call to fit. Previously got {classes}, `y` has {found}"
                )
        elif not set(found) <= set(classes):
            raise ValueError(
                "`y` has classes not in `self.classes_`. "
                f"`self.classes_` has {classes}. 'y' has {found}."
            )

    @property
    def _is_multilabel(self) -> bool:
        return self.binarizer.y_type_.startswith("multilabel")

    @property
    def loss(self) -> Loss:
        """The loss: one over all outputs for three or more exclusive classes, else one for each."""
        if self._is_multilabel or len(self.binarizer.classes_) <= 2:
            return Loss.BINARY_MARGIN if self._is_margin else Loss.BINARY_CROSS_ENTROPY
        return Loss.MARGIN if self._is_margin else Loss.CROSS_ENTROPY

    def loss_parameters(self, n_outputs: int) -> tuple[float, ...]:
        """Return the margin for each output; () for the cross-entropy, which has no parameter."""
        return (self._rho,) * n_outputs if self._is_margin else ()

    def encode(self, y: np.ndarray) -> np.ndarray:
        """Encode labels as a boolean matrix of shape (n_rows, n_outputs)."""
        return self.binarizer.transform(y).astype(bool)

    def to_train(self, Y: np.ndarray) -> np.ndarray:
        """Spread the targets' probability over all classes (Szegedy et al., 2016).

        Parameters
        ----------
        Y : ndarray of shape (n_rows, n_outputs), bool

        Returns
        -------
        ndarray of shape (n_rows, n_outputs)
            ``(1 - s) Y + s / n_classes`` for the label smoothing s, which is `Y` itself where s is
            0. A single output, and each label of several, has two classes.
        """
        share = self._label_smoothing
        if share == 0:
            return Y
        n_classes = Y.shape[1] if self.loss == Loss.CROSS_ENTROPY else 2
        return (1 - share) * Y + share / n_classes

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Return the labels that outputs predict; see :func:`decode`."""
        return decode(self.binarizer, outputs)

    def row_weight(
        self,
        y: np.ndarray,
        sample_weight: Weight,
        incremental: bool = False,
        counted: tuple[np.ndarray, Weight] | None = None,
    ) -> Weight:
        """Multiply the weights of rows by those of their classes.

        Parameters
        ----------
        y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
            It may lack some of the learned classes.
        sample_weight : ndarray of shape (n_rows,) or None
            'balanced' counts each row as its sample weight.
        incremental : bool
            Whether these are a part of the rows, as in ``partial_fit``.
        counted : tuple (y, sample_weight) or None
            The rows by which 'balanced' weights are computed; None for the given ones.

        Returns
        -------
        ndarray of shape (n_rows,) or None

        Raises
        ------
        ValueError
            When the class weights do not fit the labels.
        """
        if self._class_weight is None:
            return sample_weight
        if incremental and isinstance(self._class_weight, str):
            raise ValueError(
                "class_weight='balanced' is not known to partial_fit, which sees a part of the "
                "rows; pass a dict, as sklearn.utils.class_weight.compute_class_weight makes it"
            )
        counted = (y, sample_weight) if counted is None else counted
        weights = self._class_weights(y, *counted)
        if not (np.isfinite(weights) & (weights >= 0)).all():
            raise ValueError(
                f"class weights must be finite and not negative, got {self._class_weight}"
            )
        return weights if sample_weight is None else weights * sample_weight

    def _class_weights(
        self, y: np.ndarray, counted_y: np.ndarray, counted_weight: Weight
    ) -> np.ndarray:
        """Return the class weight of each row; 'balanced' weights are those of the counted rows."""
        given = self._class_weight
        if self._is_multilabel:
            if counted_y is y or not isinstance(given, str):
                return compute_sample_weight(given, y)
            counted = np.arange(len(counted_y))
            both = np.concatenate([counted_y, y])
            return compute_sample_weight(given, both, indices=counted)[len(counted) :]
        if isinstance(given, list):
            raise ValueError("a list of class weights is for multilabel y; pass a dict of weights")
        classes = self.binarizer.classes_
        by_class = compute_class_weight(
            given, classes=classes, y=counted_y, sample_weight=counted_weight
        )
        return by_class[np.searchsorted(classes, y)]

    def score(self, Y: np.ndarray, outputs: np.ndarray, sample_weight: Weight) -> float:
        """Compute the accuracy.

        It compares labels as scikit-learn does: an output of exactly one half is the first class.
        """
        return accuracy_score(self.decode(Y), self.decode(outputs), sample_weight=sample_weight)

    def strata(self, Y: np.ndarray) -> np.ndarray | None:
        """Return the targets where there is one output, and else None, as scikit-learn does."""
        return Y if Y.shape[1] == 1 else None

    def attributes(self) -> dict[str, Any]:
        """Return the classes and their encoder."""
        return {"_label_binarizer": self.binarizer, "classes_": self.binarizer.classes_}


class RegressionTargets:
    """Numbers, as values or as quantiles to predict.

    Parameters
    ----------
    loss : str or pair of functions
    huber_delta : float
        Limit of the Huber loss.
    quantiles : float or sequence of float
        Levels of the quantile loss.

    Raises
    ------
    ValueError
        When a custom loss is no pair of functions, or when the levels are not in (0, 1) or not in
        increasing order.
    """

    is_numeric = True
    is_learned = True
    is_scored_alone = False
    needs_scale = True

    def __init__(self, loss: Any, huber_delta: float = 1.0, quantiles: Any = 0.5) -> None:
        self._loss = loss
        self._huber_delta = float(huber_delta)
        self.custom_loss = None if isinstance(loss, str) else _checked_pair(loss)
        is_quantile = isinstance(loss, str) and loss == "quantile"
        self.quantile_levels = _checked_levels(quantiles) if is_quantile else ()

    @property
    def loss(self) -> Loss:
        """The loss that the parameter names, or ``CUSTOM``."""
        return Loss.CUSTOM if self.custom_loss is not None else Loss[self._loss.upper()]

    def loss_parameters(self, n_outputs: int) -> tuple[float, ...]:
        """Return the limit of the Huber loss or the level of the quantile loss, for each output."""
        if self._loss == "huber":
            return (self._huber_delta,) * n_outputs
        levels = self.quantile_levels
        return levels * n_outputs if len(levels) == 1 else levels

    def learned_from(self, y: np.ndarray) -> Self:
        """Return these targets, since they learn nothing of y."""
        return self

    def check_known(self, y: np.ndarray, all_required: bool) -> None:
        """Accept any y, since nothing was learned."""

    def encode(self, y: np.ndarray) -> np.ndarray:
        """Return y as a matrix, with a column for each quantile where there are several.

        Raises
        ------
        ValueError
            When y is negative with the Poisson loss, or has several columns with several quantiles.
        """
        if self._loss == "poisson" and y.min() < 0:
            raise ValueError(
                "Some value(s) of y are negative, which is not possible for loss='poisson'; "
                "use loss='squared_error'"
            )
        Y = y.reshape(len(y), -1)
        n_levels = len(self.quantile_levels)
        if n_levels < 2:
            return Y
        if Y.shape[1] > 1:
            raise ValueError(
                f"several quantiles are for y of one column, got {Y.shape[1]}; fit a model for each"
            )
        return np.repeat(Y, n_levels, axis=1)

    def to_train(self, Y: np.ndarray) -> np.ndarray:
        """Return the matrix itself."""
        return Y

    def row_weight(
        self,
        y: np.ndarray,
        sample_weight: Weight,
        incremental: bool = False,
        counted: tuple[np.ndarray, Weight] | None = None,
    ) -> Weight:
        """Return the weights of the rows as they are."""
        return sample_weight

    def score(self, Y: np.ndarray, outputs: np.ndarray, sample_weight: Weight) -> float:
        """Compute R^2, or for several quantiles the mean of their D^2 pinball scores."""
        if len(self.quantile_levels) > 1:
            outputs = np.sort(outputs, axis=1)
            return quantile_score(Y[:, 0], outputs, self.quantile_levels, sample_weight)
        return r2_score(Y, outputs, sample_weight=sample_weight)

    def strata(self, Y: np.ndarray) -> np.ndarray | None:
        """Return None, since numbers are not stratified."""
        return None

    def attributes(self) -> dict[str, Any]:
        """Return the levels of the quantiles, which are () for other losses."""
        return {"_quantile_levels": self.quantile_levels}


def quantile_score(
    y: np.ndarray, predictions: np.ndarray, levels: tuple[float, ...], sample_weight: Weight
) -> float:
    """Compute the mean of the D^2 pinball scores of several quantiles.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
    predictions : ndarray of shape (n_rows, n_levels)
    levels : tuple of float
        The quantile of each column.
    sample_weight : ndarray of shape (n_rows,) or None

    Returns
    -------
    float
        1 is perfect; 0 is the score of constant predictions, the quantiles of y.
    """
    scores = [
        d2_pinball_score(y, column, sample_weight=sample_weight, alpha=level)
        for level, column in zip(levels, predictions.T, strict=True)
    ]
    return float(np.mean(scores))


def decode(binarizer: LabelBinarizer, outputs: np.ndarray) -> np.ndarray:
    """Return the most probable class of each row, or every label above one half.

    Parameters
    ----------
    binarizer : LabelBinarizer
        It is fitted.
    outputs : ndarray of shape (n_rows, n_outputs)
        Probabilities or encoded labels.

    Returns
    -------
    ndarray of shape (n_rows,), or (n_rows, n_outputs) for multilabel problems
    """
    if outputs.shape[1] == 1:
        outputs = outputs.ravel()
    return binarizer.inverse_transform(outputs)


def class_probabilities(outputs: np.ndarray) -> np.ndarray:
    """Return the probabilities of all classes.

    Parameters
    ----------
    outputs : ndarray of shape (n_rows, n_outputs)
        A single output is the probability of the second of two classes.

    Returns
    -------
    ndarray of shape (n_rows, max(2, n_outputs))
    """
    if outputs.shape[1] == 1:
        return np.hstack([1 - outputs, outputs])
    return outputs


def _checked_pair(functions: Any) -> LossFunctions:
    """Return the functions of a custom loss; raise ValueError unless it is a pair of functions."""
    if len(functions) != 2 or not all(map(callable, functions)):
        sizes = all(isinstance(part, Real) for part in functions)
        hint = "; did you mean hidden_layer_sizes=?" if sizes else ""
        raise ValueError(
            "a custom loss is a pair of functions (value, derivative) of target and "
            f"prediction, got {functions!r}{hint}"
        )
    return tuple(functions)


def _checked_levels(quantiles: Any) -> tuple[float, ...]:
    """Return levels of quantiles; raise ValueError unless they are in (0, 1) and increase."""
    levels = np.atleast_1d(quantiles)
    if not (
        levels.size
        and levels.ndim == 1
        and levels.dtype.kind == "f"
        and ((levels > 0) & (levels < 1)).all()
        and (np.diff(levels) > 0).all()
    ):
        raise ValueError(
            f"quantiles must be numbers in (0, 1), in increasing order, got {quantiles!r}"
        )
    return tuple(map(float, levels))
