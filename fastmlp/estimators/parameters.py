"""The parameters that both estimators share: their constraints and their documentation."""

from numbers import Integral, Real

import numpy as np
from sklearn.utils._param_validation import Interval, Options, StrOptions

from ..network.plan import Activation
from ..network.weights import INITIALISERS
from ..schedules import SCHEDULES, Schedule

ACTIVATIONS = {activation.name.lower() for activation in Activation}
SOLVERS = {
    "lbfgs", "gd", "sgd", "adagrad", "rmsprop", "adam", "adamw", "nadam",
}  # fmt: skip

CONSTRAINTS = {
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [StrOptions(ACTIVATIONS), list, tuple],
    "solver": [StrOptions(SOLVERS)],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "power_t": [Interval(Real, 0, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [Interval(Real, 0, None, closed="left")],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    "beta_1": [Interval(Real, 0, 1, closed="left")],
    "beta_2": [Interval(Real, 0, 1, closed="left")],
    "epsilon": [Interval(Real, 0, None, closed="neither")],
    "n_iter_no_change": [
        Interval(Integral, 1, None, closed="left"),
        Options(Real, {np.inf}),
    ],
    "max_fun": [Interval(Integral, 1, None, closed="left")],
    "device": [StrOptions({"cpu", "cuda", "auto"})],
    "n_jobs": [
        None,
        Interval(Integral, None, -1, closed="right"),
        Interval(Integral, 1, None, closed="left"),
    ],
    "init": [StrOptions(INITIALISERS)],
    "momentum_form": [StrOptions({"accumulate", "average"})],
    "rmsprop_decay": [Interval(Real, 0, 1, closed="left")],
    "weight_decay": [None, Interval(Real, 0, None, closed="left")],
    "l1": [Interval(Real, 0, None, closed="left")],
    "max_norm": [None, Interval(Real, 0, None, closed="neither")],
    "dropout": [Interval(Real, 0, 1, closed="left"), list, tuple, np.ndarray],
    "clip_value": [None, Interval(Real, 0, None, closed="neither")],
    "clip_norm": [None, Interval(Real, 0, None, closed="neither")],
    "lr_schedule": [None, StrOptions(set(SCHEDULES)), Schedule],
    "scoring": [None, str, callable],
    "swa_start": [None, Interval(Integral, 1, None, closed="left")],
    "monitor": ["boolean"],
    "diagnose": ["boolean"],
}


# What makes a step other than the gradient of loss and L2 penalty; L-BFGS takes no such steps.
_STEP_OPTIONS = (
    "weight_decay", "l1", "max_norm", "dropout", "clip_value", "clip_norm", "lr_schedule",
)  # fmt: skip


def check_together(estimator, eval_set, incremental):
    """Raise ValueError for parameters that cannot be used together.

    Parameters
    ----------
    estimator : BaseMLP
    eval_set : tuple or None
    incremental : bool
        Whether this is ``partial_fit``.
    """
    _check_solver(estimator)
    if incremental and estimator.early_stopping:
        raise ValueError("partial_fit does not support early_stopping=True")
    if incremental and estimator.scoring is not None:
        raise ValueError("partial_fit scores no rows: leave scoring=None")
    if estimator.lr_schedule is not None and estimator.learning_rate != "constant":
        raise ValueError(
            f"lr_schedule={estimator.lr_schedule!r} and learning_rate={estimator.learning_rate!r} "
            "are two schedules; leave learning_rate='constant'"
        )
    holds_out = estimator.early_stopping and estimator.solver != "lbfgs"
    if estimator.scoring is not None and eval_set is None and not holds_out:
        raise ValueError(
            f"scoring={estimator.scoring!r} needs rows to score: set early_stopping=True, or pass "
            "eval_set=(X_validation, y_validation) to fit"
        )
    start = estimator.swa_start
    if start is None:
        return
    reason = None
    if incremental:
        reason = "averages over the epochs of a fit, and partial_fit is one epoch"
    elif estimator.early_stopping:
        reason = "and early_stopping=True both decide which weights are kept; choose one"
    elif estimator.solver == "lbfgs":
        reason = "averages over epochs, and solver='lbfgs' has none; use another solver"
    elif start > estimator.max_iter:
        reason = f"is beyond max_iter={estimator.max_iter}, so that nothing would be averaged"
    if reason is not None:
        raise ValueError(f"swa_start={start} {reason}")


def _check_solver(estimator):
    """Raise ValueError for options that the solver cannot honour."""
    if estimator.solver == "gd" and estimator.batch_size != "auto":
        raise ValueError(
            "solver='gd' takes all rows in each step: leave batch_size='auto', or use "
            f"solver='sgd' for batches of {estimator.batch_size}"
        )
    decay = estimator.weight_decay
    if decay is not None and decay * estimator.learning_rate_init >= 1:
        raise ValueError(
            f"weight_decay={decay} times learning_rate_init={estimator.learning_rate_init} must be "
            "below 1: weights shrink by 1 minus that in each step"
        )
    if estimator.solver == "lbfgs":
        for name in _STEP_OPTIONS:
            value = getattr(estimator, name)
            if value not in (None, "constant") and (isinstance(value, str) or np.any(value)):
                raise ValueError(
                    f"solver='lbfgs' cannot honour {name}={value!r}; use another solver, or alpha "
                    "for regularisation"
                )


_SHARED_PARAMETERS = """\
    hidden_layer_sizes : int or array-like of int, default=(100,)
        Units of each hidden layer; ``()`` is a linear model.
    activation : str or sequence of str, default='relu'
        Activation of the hidden layers, or one for each: 'identity', 'logistic', 'tanh', 'relu',
        'leaky_relu', 'elu', 'selu', 'gelu', 'silu', 'softplus'.
    solver : str, default='adam'
        Optimiser. 'gd' is gradient descent with all rows in each step, and no momentum; 'sgd'
        has mini-batches and momentum; 'adagrad' (Duchi et al., 2011), 'rmsprop' (Tieleman and
        Hinton, 2012), 'adam' (Kingma and Ba, 2015), 'adamw' (with `weight_decay`) and 'nadam'
        (Dozat, 2016, with a constant momentum) scale each parameter's steps. 'lbfgs' is
        scipy's L-BFGS-B on the loss of all rows, in float64, for small tables: it ignores
        early stopping and all that concerns batches and learning rates.
    alpha : float, default=0.0001
        L2 penalty: ``alpha / (2 S)`` times the sum of squared weights is added to the loss of
        each batch, S being the sum of its sample weights (its rows without weights).
    batch_size : int or 'auto', default='auto'
        Rows of a mini-batch; 'auto' is ``min(200, n_samples)``. The last batch of an epoch may
        be shorter.
    learning_rate : {'constant', 'invscaling', 'adaptive'}, default='constant'
        Schedule of the learning rate, for ``solver='sgd'`` and 'gd' only (`lr_schedule` is for
        every solver). 'invscaling' divides the
        initial rate by ``(t + 1)**power_t`` after t rows; 'adaptive' divides it by 5 each time
        training stalls, and training stops once it is 1e-6 or less.
    learning_rate_init : float, default=0.001
        Initial learning rate; the peak of every `lr_schedule`.
    power_t : float, default=0.5
        Exponent of 'invscaling'.
    max_iter : int, default=200
        Most epochs; most iterations of 'lbfgs'.
    shuffle : bool, default=True
        Whether to shuffle the rows before each epoch.
    random_state : int, RandomState instance or None, default=None
        Source of the initial weights, the shuffles, the validation split and the dropout. The
        same int gives the results of scikit-learn.
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
        (see `scoring`) stalls, and keep the weights of the best epoch. With ``fit``'s
        `eval_set` those rows are scored instead, and none are set aside.
    validation_fraction : float, default=0.1
        Share of the rows for early stopping. The split is stratified for two classes.
    beta_1, beta_2 : float, defaults 0.9 and 0.999
        Decay of the running means of the gradient and of its square, for 'adam', 'adamw' and
        'nadam'.
    epsilon : float, default=1e-08
        Added to the denominator of the steps of these, and of 'adagrad' and 'rmsprop'.
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
        there is one and the work is estimated to be large: from 5e11 multiply-adds on
        (parameters times rows, for fits times three and up to 50 epochs), and from 1e10 where
        this process has used it for a network with the same options. Needs
        ``pip install 'fastmlp[cuda]'``.
    init : str, default='sklearn'
        How weights begin: 'sklearn' is Glorot's uniform distribution for weights and biases,
        scaled as scikit-learn does; 'glorot_uniform' and 'glorot_normal' (Glorot and Bengio,
        2010; for tanh and logistic), 'he_uniform' and 'he_normal' (He et al., 2015; for relu and
        its kin), 'lecun_uniform' and 'lecun_normal' (LeCun et al., 1998; for selu) have biases of
        zero.
    momentum_form : {'accumulate', 'average'}, default='accumulate'
        Momentum of 'sgd': the velocity adds up steps, ``v = momentum * v - rate * g``, or it is
        a running mean of gradients, ``v = momentum * v - rate * (1 - momentum) * g``, whose
        steps are smaller by the factor ``1 - momentum``.
    rmsprop_decay : float, default=0.9
        Decay of the running mean of squared gradients of 'rmsprop'.
    weight_decay : float or None, default=None
        Decoupled decay (Loshchilov and Hutter, 2019): before each step weights, not biases,
        shrink by the factor ``1 - rate * weight_decay``. None is 0.01 for 'adamw', else 0.
        It is apart from `alpha`, which enters the gradient.
    l1 : float, default=0.0
        L1 penalty: ``l1 / S`` times the sum of absolute weights, scaled as `alpha` is. Its
        subgradient makes weights small, and hardly ever exactly zero.
    max_norm : float or None, default=None
        After each step the incoming weights of each unit are scaled down to this Euclidean norm.
    dropout : float or sequence of float, default=0.0
        Probability with which a hidden unit is switched off in a training step (Srivastava et
        al., 2014), for all hidden layers or one for each; the others are scaled up by
        ``1 / (1 - dropout)``, so that predictions need no change. The masks are the same for
        any number of threads and on any device.
    clip_value : float or None, default=None
        Each element of the gradient is limited to ``[-clip_value, clip_value]``.
    clip_norm : float or None, default=None
        A gradient of all parameters whose Euclidean norm is larger is scaled down to it, after
        `clip_value` (Pascanu et al., 2013).
    lr_schedule : str, Schedule or None, default=None
        Schedule of the learning rate, for every optimiser but 'lbfgs': 'constant',
        'invscaling', 'adaptive', 'plateau', 'step', 'cosine', 'one_cycle', or an object of
        :mod:`fastmlp.schedules` with settings of its own. None is scikit-learn's
        `learning_rate`. 'cosine' and 'one_cycle' take `max_iter` epochs; the others may end
        with a ConvergenceWarning.
    scoring : str, callable or None, default=None
        What early stopping maximises on the validation part, and ``history_`` has of an
        `eval_set`: a name or a scorer of :mod:`sklearn.metrics`, a callable ``(estimator, X, y)``,
        or 'loss' for the least validation loss. None is accuracy or R^2. Scorers that take
        sample weights get those of the rows, class weights excluded.
    swa_start : int or None, default=None
        Stochastic weight averaging (Izmailov et al., 2018): the fitted weights are the mean of
        those after each epoch from this one on, counted from 1. Not with early stopping, 'lbfgs'
        or ``partial_fit``.
    monitor : bool, default=False
        Whether ``history_`` also has the gradient's norm and the share of dead relu units of
        each layer, which cost a little in each step and epoch.
    diagnose : bool, default=True
        Whether a fit that went wrong in a known way ends with a :class:`fastmlp.TrainingWarning`
        that says what to do: a training loss that ends far above its best, a relu layer of which
        almost all units are dead, a validation loss that rises while the training loss falls;
        and whether a ConvergenceWarning does so.
"""

_SHARED_ATTRIBUTES = """\
    loss_ : float
        Loss of the last epoch.
    best_loss_ : float or None
        Smallest loss of an epoch; None with early stopping.
    loss_curve_ : list of float
        Mean loss of each epoch, penalty included.
    validation_scores_ : list of float or None
        Validation score after each epoch; None without early stopping. Those of an `eval_set`
        without it are in ``history_``.
    best_validation_score_ : float or None
        Best of them.
    history_ : dict of str to list
        One number for each epoch of all fits that a warm start or ``partial_fit`` joined, None
        where it is not known: 'loss', 'learning_rate' (None for 'lbfgs'), 'seconds' (of the
        epoch); with a validation part 'validation_score' and, for an `eval_set`,
        ``scoring='loss'`` or `monitor`, 'validation_loss', which is without penalties; with
        `monitor` 'gradient_norm' (mean over the steps), and 'dead_units', a list of the share of
        each hidden relu layer's units that are zero for all of at most 2000 training rows.
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


def with_shared_docs(cls):
    """Fill the places of a class's docstring that are the same for both estimators."""
    cls.__doc__ = cls.__doc__.replace("    <shared parameters>\n", _SHARED_PARAMETERS)
    cls.__doc__ = cls.__doc__.replace("    <shared attributes>\n", _SHARED_ATTRIBUTES)
    return cls
