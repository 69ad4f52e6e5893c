"""TabularClassifier: a network that predicts the class of each row of a table."""

import numpy as np
from sklearn.base import ClassifierMixin

from ..estimators.classifier import MLPClassifier
from .base import BaseTabular, constraints_of, with_shared_docs
from .columns import class_labels
from .frames import read_target


@with_shared_docs
class TabularClassifier(ClassifierMixin, BaseTabular):
    """Multilayer perceptron for the classes of rows of a table with numbers and text.

    A :class:`fastmlp.TabularPreprocessor` prepares the columns, a
    :class:`fastmlp.MLPClassifier` learns from them, in float32. Parameters have the names and
    meanings of the latter, some with defaults for tables. Ctrl-C ends training early and keeps
    what was learned.

    Parameters
    ----------
    <shared parameters>
    class_weight : dict, 'balanced' or None, default=None
        Weight of each class in the loss and in the score of early stopping; 'balanced' makes
        all classes count the same.
    loss : {'log_loss', 'margin'}, default='log_loss'
        As for :class:`fastmlp.MLPClassifier`.
    label_smoothing, rho : float, defaults 0.0 and 1.0
        Settings of the losses, as for :class:`fastmlp.MLPClassifier`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels; text and dates are strings.
    <shared attributes>

    See Also
    --------
    fastmlp.tabular.train.train_table : Also chooses the target and measures on held-out rows.

    Examples
    --------
    >>> import pandas as pd
    >>> from fastmlp import TabularClassifier
    >>> frame = pd.DataFrame({"size": [1, 2, 3, 4] * 20, "shape": ["round", None] * 40})
    >>> y = (frame["size"] > 2).rename("is large")
    >>> TabularClassifier().fit(frame, y).score(frame, y)
    1.0
    """

    __module__ = "fastmlp"  # where users and model files find it

    _parameter_constraints: dict = constraints_of(MLPClassifier)
    _network_class = MLPClassifier
    _task = "classification"

    def __init__(
        self,
        hidden_layer_sizes=(128, 64),
        activation="relu",
        *,
        alpha=0.0001,
        batch_size="auto",
        learning_rate_init=0.001,
        max_iter=200,
        random_state=0,
        early_stopping="auto",
        n_iter_no_change=12,
        n_jobs=None,
        device="cpu",
        solver="adam",
        learning_rate="constant",
        lr_schedule=None,
        power_t=0.5,
        shuffle=True,
        tol=1e-4,
        max_fun=15000,
        momentum=0.9,
        nesterovs_momentum=True,
        momentum_form="accumulate",
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        rmsprop_decay=0.9,
        weight_decay=None,
        l1=0.0,
        max_norm=None,
        dropout=0.0,
        clip_value=None,
        clip_norm=None,
        validation_fraction=0.1,
        scoring=None,
        swa_start=None,
        init="sklearn",
        monitor=False,
        diagnose=True,
        class_weight=None,
        loss="log_loss",
        label_smoothing=0.0,
        rho=1.0,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.random_state = random_state
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.n_jobs = n_jobs
        self.device = device
        self.solver = solver
        self.learning_rate = learning_rate
        self.lr_schedule = lr_schedule
        self.power_t = power_t
        self.shuffle = shuffle
        self.tol = tol
        self.max_fun = max_fun
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.momentum_form = momentum_form
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.rmsprop_decay = rmsprop_decay
        self.weight_decay = weight_decay
        self.l1 = l1
        self.max_norm = max_norm
        self.dropout = dropout
        self.clip_value = clip_value
        self.clip_norm = clip_norm
        self.validation_fraction = validation_fraction
        self.scoring = scoring
        self.swa_start = swa_start
        self.init = init
        self.monitor = monitor
        self.diagnose = diagnose
        self.class_weight = class_weight
        self.loss = loss
        self.label_smoothing = label_smoothing
        self.rho = rho

    def fit(self, X, y, *, callback=None):
        """Prepare the columns and train.

        Parameters
        ----------
        X : data frame or array-like of shape (n_rows, n_columns)
            A frame of pandas or polars, or an array of numbers, text or both. Missing values
            are allowed.
        y : array-like of shape (n_rows,)
            Class labels, none of them missing.
        callback : callable, optional
            Called after each epoch with a :class:`fastmlp.training.history.Epoch`; training stops
            when it returns True.

        Returns
        -------
        self : TabularClassifier

        Raises
        ------
        DataError
            When the table or the labels cannot be learned from. After this and any other error
            the estimator is what it was before.
        ValueError
            For parameters that cannot be used.
        fastmlp.DivergenceError
            When training diverged.
        """
        return self._fit(X, y, callback)

    def predict(self, X):
        """Predicted class labels.

        Parameters
        ----------
        X : data frame or array-like of shape (n_rows, n_columns)
            A frame has the columns of ``fit``, in any order; others are ignored.

        Returns
        -------
        ndarray of shape (n_rows,)

        Raises
        ------
        DataError
            When columns are missing, hold text instead of numbers, or are infinite somewhere.
        """
        inputs = self._inputs(X)
        return self.estimator_.predict(inputs)

    def predict_proba(self, X):
        """Probability of each class, in the order of ``classes_``.

        Parameters
        ----------
        X : data frame or array-like of shape (n_rows, n_columns)
            As for :meth:`predict`.

        Returns
        -------
        ndarray of shape (n_rows, n_classes)
        """
        inputs = self._inputs(X)
        return self.estimator_.predict_proba(inputs)

    def predict_log_proba(self, X):
        """Logarithm of :meth:`predict_proba`.

        Parameters
        ----------
        X : data frame or array-like of shape (n_rows, n_columns)
            As for :meth:`predict`.

        Returns
        -------
        ndarray of shape (n_rows, n_classes)
        """
        inputs = self._inputs(X)
        return self.estimator_.predict_log_proba(inputs)

    def score(self, X, y, sample_weight=None):
        """Share of rows whose class is predicted.

        Parameters
        ----------
        X : data frame or array-like of shape (n_rows, n_columns)
            As for :meth:`predict`.
        y : array-like of shape (n_rows,)
            The true labels.
        sample_weight : array-like of shape (n_rows,), optional
            How much each row counts.

        Returns
        -------
        float
        """
        return super().score(X, self._target(read_target(self, y)), sample_weight)

    @property
    def classes_(self):
        """The class labels that the network knows."""
        return self.estimator_.classes_

    def _target(self, y):
        # In scikit-learn's words, too, for those who look for them.
        return class_labels(y, "TabularRegressor takes them (Unknown label type: continuous)")

    def _encode(self, values):
        return values

    def _can_hold_out(self, values):
        # The split of two classes is stratified and needs two members of each.
        counts = np.unique(values, return_counts=True)[1]
        return len(counts) > 2 or counts.min() >= 2
