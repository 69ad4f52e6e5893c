"""MLPClassifier and MLPRegressor, with scikit-learn's interface and numbers."""

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target
from sklearn.utils.validation import check_is_fitted

from . import targets
from .base import BaseMLP, solver_has_partial_fit, validated
from .plan import Loss

_SHARED_PARAMETERS = """\
    hidden_layer_sizes : int or array-like of int, default=(100,)
        Units of each hidden layer; ``()`` is a linear model.
    activation : {'identity', 'logistic', 'tanh', 'relu'}, default='relu'
        Activation of the hidden layers.
    solver : {'lbfgs', 'sgd', 'adam'}, default='adam'
        Optimiser. 'sgd' has momentum; 'adam' is that of Kingma and Ba (2015); 'lbfgs' is
        scipy's L-BFGS-B on the loss of all rows, in float64, for small tables: it ignores
        early stopping and all that concerns batches and learning rates.
    alpha : float, default=0.0001
        L2 penalty: ``alpha / (2 S)`` times the sum of squared weights is added to the loss of
        each batch, S being the sum of its sample weights (its rows without weights).
    batch_size : int or 'auto', default='auto'
        Rows of a mini-batch; 'auto' is ``min(200, n_samples)``. The last batch of an epoch may
        be shorter.
    learning_rate : {'constant', 'invscaling', 'adaptive'}, default='constant'
        Schedule of the learning rate, for ``solver='sgd'`` only. 'invscaling' divides the
        initial rate by ``(t + 1)**power_t`` after t rows; 'adaptive' divides it by 5 each time
        training stalls, and training stops once it is 1e-6 or less.
    learning_rate_init : float, default=0.001
        Initial learning rate.
    power_t : float, default=0.5
        Exponent of 'invscaling'.
    max_iter : int, default=200
        Most epochs; most iterations of 'lbfgs'.
    shuffle : bool, default=True
        Whether to shuffle the rows before each epoch.
    random_state : int, RandomState instance or None, default=None
        Source of the initial weights, the shuffles and the validation split. The same int
        gives the results of scikit-learn.
    tol : float, default=0.0001
        An epoch counts as an improvement when loss or score are better by more than this.
        'lbfgs' ends when no element of the gradient is larger.
    verbose : bool, default=False
        Print each epoch's loss to stdout.
    warm_start : bool, default=False
        Whether ``fit`` starts from the weights of the previous fit.
    momentum : float, default=0.9
        Momentum of 'sgd', between 0 and 1.
    nesterovs_momentum : bool, default=True
        Whether the momentum looks ahead.
    early_stopping : bool, default=False
        Whether to set `validation_fraction` of the rows aside, stop when the score on them
        (accuracy or R^2) stalls, and keep the weights of the best epoch.
    validation_fraction : float, default=0.1
        Share of the rows for early stopping. The split is stratified for two classes.
    beta_1, beta_2 : float, defaults 0.9 and 0.999
        Decay of Adam's running means of the gradient and of its square.
    epsilon : float, default=1e-08
        Added to the denominator of Adam's step.
    n_iter_no_change : int, default=10
        Training stalls after more than this many epochs in a row without an improvement.
    max_fun : int, default=15000
        Most function evaluations of 'lbfgs'.
    n_jobs : int or None, default=None
        Threads; None is numba's limit (all cores, or the share that joblib leaves), negative
        numbers count from it as in scikit-learn. The results are the same for any number.
    device : {'cpu', 'cuda', 'auto'}, default='cpu'
        'cuda' trains and predicts on an NVIDIA GPU, with the same shuffles and weights and
        results that are equal to rounding; it is fastest for float32 X. 'auto' does so where
        there is one and the work is large. Needs ``pip install 'fastmlp[cuda]'``.
"""

_SHARED_ATTRIBUTES = """\
    loss_ : float
        Loss of the last epoch.
    best_loss_ : float or None
        Smallest loss of an epoch; None with early stopping.
    loss_curve_ : list of float
        Mean loss of each epoch, penalty included.
    validation_scores_ : list of float or None
        Validation score after each epoch; None without early stopping.
    best_validation_score_ : float or None
        Best of them.
    t_ : int
        Rows seen in training.
    coefs_ : list of ndarray of shape (fan_in, fan_out)
        Weights of each layer.
    intercepts_ : list of ndarray of shape (fan_out,)
        Biases of each layer.
    n_features_in_ : int
        Features seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, when X has string column names.
    n_iter_ : int
        Epochs of the last call to ``fit``.
    n_layers_ : int
        Layers, input and output included.
    n_outputs_ : int
        Units of the output layer.
    out_activation_ : str
        Activation of the output layer.
"""


def _with_shared_docs(cls):
    cls.__doc__ = cls.__doc__.replace("    <shared parameters>\n", _SHARED_PARAMETERS)
    cls.__doc__ = cls.__doc__.replace("    <shared attributes>\n", _SHARED_ATTRIBUTES)
    return cls


@_with_shared_docs
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

    loss = "log_loss"

    _parameter_constraints: dict = {  # noqa: RUF012
        **BaseMLP._parameter_constraints,
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
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

    def fit(self, X, y, sample_weight=None, *, callback=None):
        """Train on X and y.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            float32 is kept; everything else becomes float64. Sparse matrices stay sparse.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels, or a multilabel indicator matrix.
        sample_weight : array-like of shape (n_samples,), optional
            Weight of each row in the loss and in the validation score.
        callback : callable, optional
            Called after each epoch with a :class:`fastmlp.training.Epoch`; training stops when
            it returns True.

        Returns
        -------
        self : MLPClassifier

        Raises
        ------
        ValueError
            For parameters or data that cannot be used, and when training diverged.
        """
        return self._fit(X, y, sample_weight, callback)

    @available_if(solver_has_partial_fit)
    def partial_fit(self, X, y, sample_weight=None, classes=None):
        """Train for one epoch on X and y, starting from the current weights.

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
        if _check_partial_fit_first_call(self, classes):
            multilabel = type_of_target(y).startswith("multilabel")
            self._label_binarizer = targets.fit_label_binarizer(y if multilabel else classes)
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X):
        """Predicted class labels, or a multilabel indicator matrix.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        return targets.decode(self._label_binarizer_of_fit(), self._outputs(X))

    def predict_proba(self, X):
        """Probability of each class, in the order of ``classes_``.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            For multilabel problems the probability of each label.
        """
        return targets.class_probabilities(self._outputs(X))

    def predict_log_proba(self, X):
        """Logarithm of :meth:`predict_proba`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        probabilities = self.predict_proba(X)
        return np.log(probabilities, out=probabilities)

    def _label_binarizer_of_fit(self):
        check_is_fitted(self)
        return self._label_binarizer

    def _loss(self):
        return targets.classification_loss(self._label_binarizer)

    def _encode(self, X, y, first_pass, incremental):
        X, y = validated(
            self,
            X,
            y,
            accept_sparse="csr",
            multi_output=True,
            dtype=[np.float64, np.float32],
            reset=first_pass,
        )
        y = targets.flatten_column(y)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = targets.fit_label_binarizer(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            targets.check_same_classes(y, self.classes_, all_required=not incremental)
        return X, self._label_binarizer.transform(y).astype(bool), y

    def _weigh(self, y, sample_weight, incremental):
        if self.class_weight is None:
            return sample_weight
        if incremental and isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight='balanced' is not known to partial_fit, which sees a part of the "
                "rows; pass a dict, as sklearn.utils.class_weight.compute_class_weight makes it"
            )
        by_class = targets.class_weights(self.class_weight, y, self._label_binarizer, sample_weight)
        return by_class if sample_weight is None else by_class * sample_weight

    def _stratify(self):
        return self.n_outputs_ == 1

    def _score_outputs(self, Y, outputs, sample_weight):
        # Labels are compared, as scikit-learn does: a tie at one half is the first class.
        y_true = targets.decode(self._label_binarizer, Y)
        y_pred = targets.decode(self._label_binarizer, outputs)
        return accuracy_score(y_true, y_pred, sample_weight=sample_weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


@_with_shared_docs
class MLPRegressor(RegressorMixin, BaseMLP):
    """Multilayer perceptron for regression, trained in compiled kernels.

    A drop-in for :class:`sklearn.neural_network.MLPRegressor`: the same parameters, and with
    the same ``random_state`` and float64 input the same weights.

    Parameters
    ----------
    loss : {'squared_error', 'poisson'}, default='squared_error'
        Half the squared error, or half the Poisson deviance with predictions ``exp(z)``.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    Notes
    -----
    Arithmetic is in float32 when X is float32, else in float64. With several outputs the
    reported squared error is their mean, while training descends their sum, as in scikit-learn.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from fastmlp import MLPRegressor
    >>> X, y = make_regression(200, 5, random_state=0)
    >>> MLPRegressor(random_state=0, max_iter=2000, tol=0.1).fit(X, y).score(X, y) > 0.9
    True
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        **BaseMLP._parameter_constraints,
        "loss": [StrOptions({"squared_error", "poisson"})],
    }

    def __init__(
        self,
        loss="squared_error",
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
        n_jobs=None,
        device="cpu",
    ):
        self.loss = loss
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
        self.n_jobs = n_jobs
        self.device = device

    def fit(self, X, y, sample_weight=None, *, callback=None):
        """Train on X and y.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            float32 is kept; everything else becomes float64. Sparse matrices stay sparse.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Target values; counts or other values that are not negative for the Poisson loss.
        sample_weight : array-like of shape (n_samples,), optional
            Weight of each row in the loss and in the validation score.
        callback : callable, optional
            Called after each epoch with a :class:`fastmlp.training.Epoch`; training stops when
            it returns True.

        Returns
        -------
        self : MLPRegressor

        Raises
        ------
        ValueError
            For parameters or data that cannot be used, and when training diverged.
        """
        return self._fit(X, y, sample_weight, callback)

    @available_if(solver_has_partial_fit)
    def partial_fit(self, X, y, sample_weight=None):
        """Train for one epoch on X and y, starting from the current weights.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`fit`.

        Returns
        -------
        self : MLPRegressor
        """
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X):
        """Predicted values.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        outputs = self._outputs(X)
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    def _loss(self):
        return Loss[self.loss.upper()]

    def _encode(self, X, y, first_pass, incremental):
        X, y = validated(
            self,
            X,
            y,
            accept_sparse="csr",
            multi_output=True,
            y_numeric=True,
            dtype=[np.float64, np.float32],
            reset=first_pass,
        )
        y = targets.flatten_column(y)
        if self.loss == "poisson" and y.min() < 0:
            raise ValueError(
                "Some value(s) of y are negative, which is not possible for loss='poisson'; "
                "use loss='squared_error'"
            )
        return X, y.reshape(len(y), -1), y

    def _stratify(self):
        return False

    def _score_outputs(self, Y, outputs, sample_weight):
        return r2_score(Y, outputs, sample_weight=sample_weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
