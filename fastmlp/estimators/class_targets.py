"""Class labels to the matrix that a network is trained on, and back."""

from typing import Any, Self

import numpy as np
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from sklearn.utils.multiclass import unique_labels

from ..network.plan import Loss
from .targets import Weight


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
            _fitted_binarizer(y),
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
        numbers = self._numbers(y)
        if numbers is None:
            return self.binarizer.transform(y).astype(bool)
        n_classes = len(self.binarizer.classes_)
        if n_classes <= 2:
            return (numbers == 1)[:, None]
        return numbers[:, None] == np.arange(n_classes)

    def _numbers(self, y: np.ndarray) -> np.ndarray | None:
        """Return the number of each row's class; None where scikit-learn has to encode the labels.

        Its encoder examines y several times, which takes longer than epochs of a small network.
        """
        if self._is_multilabel or type(y) is not np.ndarray or y.ndim != 1:
            return None
        classes = self.binarizer.classes_
        if y.dtype.kind not in "biufU" or y.dtype.kind != classes.dtype.kind:
            return None
        numbers = np.searchsorted(classes, y).clip(max=len(classes) - 1)
        return numbers if (classes[numbers] == y).all() else None

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
        # A class without a counted row has no balanced weight: each of its rows counts as one.
        has_weight = np.ones(len(classes), dtype=bool)
        if isinstance(given, str):
            has_weight = np.isin(classes, counted_y)
        by_class = np.ones(len(classes))
        by_class[has_weight] = compute_class_weight(
            given, classes=classes[has_weight], y=counted_y, sample_weight=counted_weight
        )
        return by_class[np.searchsorted(classes, y)]

    def score(self, Y: np.ndarray, outputs: np.ndarray, sample_weight: Weight) -> float:
        """Compute the accuracy.

        It compares labels as scikit-learn does: an output of exactly one half is the first class.
        """
        if self._is_multilabel:
            return accuracy_score(self.decode(Y), self.decode(outputs), sample_weight=sample_weight)
        # The same for numbers of classes, which takes a tenth of the time for few rows.
        if len(self.binarizer.classes_) == 1:
            is_right = np.ones(len(Y), dtype=bool)
        elif Y.shape[1] == 1:
            is_right = Y[:, 0] == (outputs[:, 0] > 0.5)
        else:
            is_right = Y.argmax(axis=1) == outputs.argmax(axis=1)
        return float(np.average(is_right, weights=sample_weight))

    def strata(self, Y: np.ndarray) -> np.ndarray | None:
        """Return the targets where there is one output, and else None, as scikit-learn does."""
        return Y if Y.shape[1] == 1 else None

    def attributes(self) -> dict[str, Any]:
        """Return the classes and their encoder."""
        return {"_label_binarizer": self.binarizer, "classes_": self.binarizer.classes_}


def _fitted_binarizer(y: np.ndarray) -> LabelBinarizer:
    """Return scikit-learn's encoder of labels, which has learned those in y.

    It examines labels several times, which takes longer than epochs of a small network. What it
    learns is written down here for plain labels: integers, booleans and whole floats.
    """
    binarizer = LabelBinarizer()
    if type(y) is not np.ndarray or y.ndim != 1 or not y.size or not y.dtype.isnative:
        return binarizer.fit(y)
    if y.dtype.kind not in "biuf":
        return binarizer.fit(y)
    classes = np.unique(y)
    if y.dtype.kind == "f":
        numbers = classes.astype(np.float64)
        if not ((np.trunc(numbers) == numbers) & (abs(numbers) < 2**53)).all():
            return binarizer.fit(y)  # which says that they are no classes
    binarizer.y_type_ = "multiclass" if len(classes) > 2 else "binary"
    binarizer.sparse_input_ = False
    binarizer.classes_ = classes
    return binarizer


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
    # For few rows, the checks of scikit-learn would take longer than the prediction.
    classes, kind = binarizer.classes_, binarizer.y_type_
    if not binarizer.sparse_input_ and outputs.shape[1] == len(classes) and kind == "multiclass":
        labels: np.ndarray = classes[outputs.argmax(axis=1)]
        return labels
    if outputs.shape[1] == 1:
        outputs = outputs.ravel()
        if not binarizer.sparse_input_ and len(classes) == 2 and kind == "binary":
            labels = classes[(outputs > 0.5).astype(np.intp)]
            return labels
    return binarizer.inverse_transform(outputs)


def accuracy(y: Any, predicted: np.ndarray, sample_weight: Any = None) -> float:
    """Compute the share of rows whose labels are all predicted, as scikit-learn does.

    Its checks of labels take longer than a small network takes to predict them; plain ones need
    none.

    Parameters
    ----------
    y, predicted : array-like of shape (n_rows,) or (n_rows, n_outputs)
    sample_weight : array-like of shape (n_rows,) or None

    Returns
    -------
    float
    """
    is_plain = sample_weight is None and all(
        type(labels) is np.ndarray and labels.ndim == 1 and labels.dtype.kind in "biu"
        for labels in (y, predicted)
    )
    if is_plain and 0 < len(y) == len(predicted):
        return float(np.average(y == predicted))
    return float(accuracy_score(y, predicted, sample_weight=sample_weight))


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
    if outputs.shape[1] > 1:
        return outputs
    both = np.empty((len(outputs), 2), dtype=outputs.dtype)
    np.subtract(1, outputs[:, 0], out=both[:, 0])
    both[:, 1] = outputs[:, 0]
    return both
