"""Targets: labels and numbers to the 2-D matrix that a network is trained on, and back."""

import numpy as np
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from sklearn.utils.multiclass import unique_labels

from ..network.plan import Loss


def flatten_column(y):
    """A single column as a vector, with scikit-learn's warning; all else unchanged."""
    if y.ndim == 2 and y.shape[1] == 1:
        return column_or_1d(y, warn=True)
    return y


def fit_label_binarizer(y):
    """The encoder of class labels, or of a multilabel indicator matrix."""
    return LabelBinarizer().fit(y)


def check_same_classes(y, classes, all_required):
    """Raise ValueError unless the labels in `y` fit the classes of an earlier fit.

    Parameters
    ----------
    y : array-like
    classes : ndarray
    all_required : bool
        Whether `y` has to contain every class (a warm start), not just known ones.
    """
    found = unique_labels(y)
    if all_required:
        if set(found) != set(classes):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {classes}, `y` has {found}"
            )
    elif not set(found) <= set(classes):
        raise ValueError(
            "`y` has classes not in `self.classes_`. "
            f"`self.classes_` has {classes}. 'y' has {found}."
        )


def class_weights(class_weight, y, binarizer, sample_weight=None, trained=None):
    """The weight of each row's class.

    Parameters
    ----------
    class_weight : dict, 'balanced' or list of dict
        As for :class:`fastmlp.MLPClassifier`.
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
    binarizer : LabelBinarizer
        Fitted; its classes may be more than those in `y`.
    sample_weight : ndarray of shape (n_samples,) or None
        How much a row counts for 'balanced'.
    trained : tuple (y, sample_weight) or None
        Of the rows that 'balanced' counts, where those are others.

    Returns
    -------
    ndarray of shape (n_samples,)
    """
    is_multilabel = binarizer.y_type_.startswith("multilabel")
    if isinstance(class_weight, list) and not is_multilabel:
        raise ValueError("a list of class weights is for multilabel y; pass a dict of weights")
    if is_multilabel:
        weights = compute_sample_weight(class_weight, y)
        if trained is not None and isinstance(class_weight, str):
            counted = np.arange(len(trained[0]))
            both = np.concatenate([trained[0], y])
            weights = compute_sample_weight(class_weight, both, indices=counted)[len(counted) :]
    else:
        classes = binarizer.classes_
        counted, weight_of_counted = (y, sample_weight) if trained is None else trained
        by_class = compute_class_weight(
            class_weight, classes=classes, y=counted, sample_weight=weight_of_counted
        )
        weights = by_class[np.searchsorted(classes, y)]
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise ValueError(f"class weights must be finite and not negative, got {class_weight}")
    return weights


def classification_loss(binarizer, name="log_loss"):
    """The loss 'log_loss' or 'margin': one over three or more exclusive classes, else one for
    each output."""
    if binarizer.y_type_.startswith("multilabel") or len(binarizer.classes_) <= 2:
        return Loss.BINARY_MARGIN if name == "margin" else Loss.BINARY_CROSS_ENTROPY
    return Loss.MARGIN if name == "margin" else Loss.CROSS_ENTROPY


def smoothed(Y, share, n_classes):
    """Targets whose probability is spread over all classes by a share (Szegedy et al., 2016).

    Parameters
    ----------
    Y : ndarray of shape (n_samples, n_outputs), bool
    share : float
    n_classes : int
        Between which a row, or each of its outputs, decides.

    Returns
    -------
    ndarray of shape (n_samples, n_outputs)
        `Y` itself where the share is zero; else (1 - share) Y + share / n_classes.
    """
    return (1 - share) * Y + share / n_classes if share > 0 else Y


def decode(binarizer, probabilities):
    """Predicted labels: the most probable class, or every one above one half."""
    if probabilities.shape[1] == 1:
        probabilities = probabilities.ravel()
    return binarizer.inverse_transform(probabilities)


def class_probabilities(outputs):
    """Probabilities of all classes; a single output is that of the second class."""
    if outputs.shape[1] == 1:
        return np.hstack([1 - outputs, outputs])
    return outputs
