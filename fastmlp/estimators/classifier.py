"""MLPClassifier: classes, probabilities and class weights."""

from numbers import Real

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted

from ..engines.devices import host_array
from ._sklearn import Interval, StrOptions, check_partial_fit_first_call
from .base import BaseMLP, solver_has_partial_fit
from .parameters import with_shared_docs
from .targets import ClassTargets, class_probabilities, decode


@with_shared_docs
class MLPClassifier(ClassifierMixin, BaseMLP):
    """Multilayer perceptron for classification, trained in compiled kernels.

    A drop-in for :class:`sklearn.neural_network.MLPClassifier`: the same parameters, and with
    the same ``random_state`` and float64 input the same weights. It minimises the
    cross-entropy: of a softmax over three or more exclusive classes, of one logistic output
    for two classes, of one for each label of a multilabel indicator matrix.

    Parameters
    ----------
    <shared parameters>
    class_weight : dict, 'balanced', list of dict or None, default=None
        Weight of each class in the loss, and in the score of early stopping, times the sample
        weights. 'balanced' is ``n_samples / (n_classes * count)``, where sample weights count
        as so many rows. For a multilabel matrix 'balanced' (of each label's rows), or a list
        with a dict ``{0: weight, 1: weight}`` for each label, whose weights are multiplied.
    loss : {'log_loss', 'margin'}, default='log_loss'
        'log_loss' is the cross-entropy. 'margin' is a hinge on the margin between the
        probability of the true class and the largest other one: ``max(0, 1 - margin / rho)``.
    label_smoothing : float, default=0.0
        Share of each target's probability that is spread over all classes (Szegedy et al.,
        2016): targets ``(1 - s) y + s / n_classes``, for 'log_loss'.
    rho : float, default=1.0
        Margin of the margin loss beyond which it is zero, in [1e-6, 1].

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    <shared attributes>

    Notes
    -----
    Arithmetic is in float32 when X is float32, else in float64.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastmlp import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> MLPClassifier(random_state=0, max_iter=500).fit(X, y).score(X, y) > 0.95
    True
    """

    __module__ = "fastmlp"  # where users and model files find it

    _parameter_constraints: dict = {  # noqa: RUF012
        **BaseMLP._parameter_constraints,
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
        "loss": [StrOptions({"log_loss", "margin"})],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "rho": [Interval(Real, 1e-6, 1, closed="both")],
    }

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        class_weight=None,
        n_jobs=None,
        device="cpu",
        init="sklearn",
        momentum_form="accumulate",
        rmsprop_decay=0.9,
        weight_decay=None,
        l1=0.0,
        max_norm=None,
        dropout=0.0,
        clip_value=None,
        clip_norm=None,
        lr_schedule=None,
        scoring=None,
        swa_start=None,
        monitor=False,
        diagnose=True,
        loss="log_loss",
        label_smoothing=0.0,
        rho=1.0,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.class_weight = class_weight
        self.n_jobs = n_jobs
        self.device = device
        self.init = init
        self.momentum_form = momentum_form
        self.rmsprop_decay = rmsprop_decay
        self.weight_decay = weight_decay
        self.l1 = l1
        self.max_norm = max_norm
        self.dropout = dropout
        self.clip_value = clip_value
        self.clip_norm = clip_norm
        self.lr_schedule = lr_schedule
        self.scoring = scoring
        self.swa_start = swa_start
        self.monitor = monitor
        self.diagnose = diagnose
        self.loss = loss
        self.label_smoothing = label_smoothing
        self.rho = rho

    def fit(self, X, y, sample_weight=None, *, eval_set=None, callback=None):
        """Train on X and y.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            float32 is kept; everything else becomes float64. Sparse matrices stay sparse. With
            `device` 'cuda' or 'auto' also an array on the GPU, of float32 or float64, with
            ``__cuda_array_interface__``, which is used there; other arguments on the GPU are
            copied to the host.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels, or a multilabel indicator matrix.
        sample_weight : array-like of shape (n_samples,), optional
            Weight of each row in the loss and in the validation score.
        eval_set : tuple (X, y) or (X, y, sample_weight), optional
            Rows that are not trained on: ``history_`` gets their loss and score after each epoch.
            With ``early_stopping=True`` they decide when to stop, and no rows are held out.
        callback : callable, optional
            Called after each epoch with a :class:`fastmlp.training.history.Epoch`; training stops
            when it returns True.

        Returns
        -------
        self : MLPClassifier

        Raises
        ------
        ValueError
            For parameters or data that cannot be used.
        fastmlp.DivergenceError
            When training diverged; the last finite weights are kept.
        """
        return self._fit(X, y, sample_weight, eval_set, callback)

    @available_if(solver_has_partial_fit)
    def partial_fit(self, X, y, sample_weight=None, classes=None):
        """Train for one epoch on X and y, starting from the current weights.

        Solver, learning rate and schedule are those of the first call; the other options are
        those that are set now.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`fit`.
        classes : array-like of shape (n_classes,), optional
            All classes of all calls; required in the first one.

        Returns
        -------
        self : MLPClassifier
        """
        y, classes = host_array(y), host_array(classes)
        if check_partial_fit_first_call(self, classes):
            multilabel = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(y if multilabel else classes)
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X):
        """Predicted class labels, or a multilabel indicator matrix.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Also an array on the GPU, as for :meth:`fit`.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        check_is_fitted(self)
        return decode(self._label_binarizer, self._outputs(X))

    def predict_proba(self, X):
        """Probability of each class, in the order of ``classes_``.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Also an array on the GPU, as for :meth:`fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            For multilabel problems the probability of each label.
        """
        return class_probabilities(self._outputs(X))

    def predict_log_proba(self, X):
        """Logarithm of :meth:`predict_proba`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Also an array on the GPU, as for :meth:`fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        probabilities = self.predict_proba(X)
        return np.log(probabilities, out=probabilities)

    def score(self, X, y, sample_weight=None):
        """Share of rows whose labels are all predicted.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional
            Each also on the GPU, as for :meth:`fit`.

        Returns
        -------
        float
        """
        return super().score(X, host_array(y), host_array(sample_weight))

    def _targets(self):
        known = getattr(self, "_label_binarizer", None)
        return ClassTargets(
            self.loss, self.label_smoothing, self.rho, self.class_weight, label_binarizer=known
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
