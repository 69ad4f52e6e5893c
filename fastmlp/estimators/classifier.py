"""MLPClassifier, the multilayer perceptron for classification."""

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import Tags
from sklearn.utils.multiclass import type_of_target

from ..engines.devices import host_array
from ..schedules import Schedule
from ..training.callbacks import Callback
from ..training.checkpoint import CheckpointPath
from ._sklearn import Interval, StrOptions, check_partial_fit_first_call, validate_parameters
from .base import BaseMLP, available_if_has_partial_fit
from .by_hand import checked_classes, set_network
from .class_targets import ClassTargets, accuracy, class_probabilities, decode
from .parameters import with_shared_docs
from .transaction import whole


@with_shared_docs
class MLPClassifier(ClassifierMixin, BaseMLP):
    """Multilayer perceptron for classification, trained in compiled kernels.

    It can replace :class:`sklearn.neural_network.MLPClassifier`: it has the same parameters and
    more, and with the same ``random_state`` and float64 input it learns the same weights. By
    default it minimises the cross-entropy. Three or more exclusive classes have softmax outputs,
    two classes have one logistic output, and a multilabel indicator matrix has one for each label.

    Parameters
    ----------
    <scikit-learn's parameters>
    class_weight : dict, 'balanced', list of dict or None, default=None
        Weight of each class in the loss and in the score of early stopping, by which the sample
        weights are multiplied. 'balanced' is ``n_samples / (n_classes * count)``, where a row
        counts as its sample weight. For a multilabel matrix the weight of a row is the product
        over its labels: of their 'balanced' weights, or of those in a list with a dict
        ``{0: weight, 1: weight}`` for each label.
    <further parameters>
    loss : {'log_loss', 'margin'}, default='log_loss'
        'log_loss' is the cross-entropy. 'margin' is ``max(0, 1 - margin / rho)``, where the margin
        is the probability of the true class minus the largest probability of another class.
    label_smoothing : float, default=0.0
        Share s of each target's probability that is spread over all classes (Szegedy et al.,
        2016): the targets of 'log_loss' become ``(1 - s) y + s / n_classes``.
    rho : float, default=1.0
        The margin from which on the margin loss is zero, in [1e-6, 1].

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    <shared attributes>

    Notes
    -----
    Arithmetic is in float32 if X is float32, else in float64.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastmlp import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> MLPClassifier(random_state=0, max_iter=500).fit(X, y).score(X, y) > 0.95
    True
    """

    __module__ = "fastmlp"  # where users and model files find it

    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012
        **BaseMLP._parameter_constraints,
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
        "loss": [StrOptions({"log_loss", "margin"})],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "rho": [Interval(Real, 1e-6, 1, closed="both")],
    }

    classes_: np.ndarray

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] | np.ndarray = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        class_weight: dict[Any, Any] | list[dict[Any, Any]] | str | None = None,
        n_jobs: int | None = None,
        device: str = "cpu",
        init: str = "sklearn",
        momentum_form: str = "accumulate",
        rmsprop_decay: float = 0.9,
        weight_decay: float | None = None,
        l1: float = 0.0,
        max_norm: float | None = None,
        dropout: float | Sequence[float] | np.ndarray = 0.0,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        lr_schedule: str | Schedule | None = None,
        scoring: str | Callable[..., Any] | None = None,
        swa_start: int | None = None,
        monitor: bool = False,
        diagnose: bool = True,
        loss: str = "log_loss",
        label_smoothing: float = 0.0,
        rho: float = 1.0,
    ) -> None:
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

    @classmethod
    def from_weights(
        cls,
        coefs: Sequence[Any],
        intercepts: Sequence[Any],
        activation: str | Sequence[str] = "relu",
        *,
        classes: Any = None,
        **parameters: Any,
    ) -> Self:
        """Make a classifier of weights that are given, so that it predicts without training.

        Its units compute ``f(z)`` of ``z = h @ coefs[l] + intercepts[l]``. Those of the output
        are logistic for two classes, and a softmax for more. It can be trained further, but for
        the activation 'step'.

        Parameters
        ----------
        coefs : sequence of array-like of shape (fan_in, fan_out)
            The weight matrix of each layer, copied.
        intercepts : sequence of array-like of shape (fan_out,)
            The biases of each layer.
        activation : str or sequence of str, default='relu'
            That of all hidden layers, or one for each. Of 'step' a unit is a threshold unit: 1
            where z is above 0, else 0.
        classes : array-like of shape (n_classes,), optional
            The labels of the outputs, in increasing order: two for one output. By default 0, 1
            and so on.
        **parameters
            Further parameters of the classifier.

        Returns
        -------
        MLPClassifier

        Raises
        ------
        ValueError
            When the weights do not fit each other, or the classes, or are not finite; or when a
            parameter has a value that it may not have.

        Examples
        --------
        Exclusive or is "or, but not and":

        >>> from fastmlp import MLPClassifier
        >>> model = MLPClassifier.from_weights(
        ...     [[[1, 1], [1, 1]], [[1], [-1]]], [[-0.5, -1.5], [-0.5]], activation="step"
        ... )
        >>> model.predict([[0, 0], [0, 1], [1, 0], [1, 1]])
        array([0, 1, 1, 0])
        """

        def all_classes(n_outputs: int) -> np.ndarray:
            return np.arange(max(2, n_outputs)) if classes is None else checked_classes(classes)

        model = cls((), activation, **parameters)
        set_network(model, coefs, intercepts, all_classes)
        return model

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        eval_set: Sequence[Any] | None = None,
        callback: Callback | None = None,
        checkpoint: CheckpointPath = None,
    ) -> Self:
        """Train on X and y.

        Parameters
        ----------
        <X of fit>
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels, or a multilabel indicator matrix.
        <other parameters of fit>

        Returns
        -------
        self : MLPClassifier

        <errors of fit>
        """
        return self._fit(X, y, sample_weight, eval_set, callback, checkpoint)

    @available_if_has_partial_fit
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train for one epoch on X and y, starting from the current weights.

        The solver, the learning rate and its schedule stay as they were in the first call; all
        other parameters may change from call to call.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            As for :meth:`fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            As for :meth:`fit`.
        sample_weight : array-like of shape (n_samples,), optional
            As for :meth:`fit`.
        classes : array-like of shape (n_classes,), optional
            The classes that occur in any call; the first call needs them.

        Returns
        -------
        self : MLPClassifier
        """
        validate_parameters(self)
        y, classes = host_array(y), host_array(classes)
        is_first = check_partial_fit_first_call(self, classes)
        try:
            if is_first:
                multilabel = type_of_target(y).startswith("multilabel")
                self._label_binarizer = LabelBinarizer().fit(y if multilabel else classes)
            return self._partial_fit(X, y, sample_weight)
        except BaseException:
            if is_first and not hasattr(self, "coefs_"):  # the next call may have other classes
                self.__dict__.pop("classes_", None)
                self.__dict__.pop("_label_binarizer", None)
            raise

    def predict(self, X: Any) -> np.ndarray:
        """Predict class labels, or a multilabel indicator matrix.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            As for :meth:`fit`; it may lie on the GPU.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        self._check_fitted()
        model = whole(self)  # its classes are those of its outputs
        return decode(model._label_binarizer, self._outputs(X, model))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict the probability of each class, in the order of ``classes_``.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            As for :meth:`fit`; it may lie on the GPU.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            For multilabel problems the probability of each label.
        """
        return class_probabilities(self._outputs(X))

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Predict the logarithm of the probability of each class; see :meth:`predict_proba`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            As for :meth:`fit`; it may lie on the GPU.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        probabilities = self.predict_proba(X)
        return np.log(probabilities, out=probabilities)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Compute the accuracy: the share of rows whose labels are all predicted.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            As for :meth:`fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            As for :meth:`fit`.
        sample_weight : array-like of shape (n_samples,), optional
            As for :meth:`fit`.

        Returns
        -------
        float
        """
        y, sample_weight = host_array(y), host_array(sample_weight)
        return accuracy(y, self.predict(X), sample_weight)

    def _targets(self) -> ClassTargets:
        known = getattr(self, "_label_binarizer", None)
        return ClassTargets(
            self.loss, self.label_smoothing, self.rho, self.class_weight, label_binarizer=known
        )

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
