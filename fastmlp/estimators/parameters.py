"""The parameters that both estimators share: their constraints and their documentation."""

import re
import reprlib
import sys
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np

from ..network.plan import Activation
from ..network.weights import INITIALISERS
from ..schedules import SCHEDULES, Schedule
from ._sklearn import (
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
    constraints_of,
    once_for_class,
    validate_parameter_constraints,
)

ACTIVATIONS = {activation.name.lower() for activation in Activation}
SOLVERS = {
    "lbfgs", "gd", "sgd", "adagrad", "rmsprop", "adam", "adamw", "nadam",
}  # fmt: skip

# The values that each parameter may have, in the form that scikit-learn checks.
CONSTRAINTS: dict[str, list[Any]] = {
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


def invalid_parameter(estimator: Any) -> str | None:
    """Say in one line which parameter of an estimator has a value that it may not have.

    Parameters
    ----------
    estimator : object
        It has the constraints of its parameters in ``_parameter_constraints``.

    Returns
    -------
    str or None
        The parameter, what is allowed, and its value; None where all values are allowed.
    """
    for name, value in estimator.get_params(deep=False).items():
        constraints = estimator._parameter_constraints[name]
        try:
            validate_parameter_constraints({name: constraints}, {name: value}, "")
        except InvalidParameterError:
            return f"{name} must be {_allowed(constraints)}, got {reprlib.repr(value)}"
    return None


# What constraints of types are called; sequences of all types are the same to a user.
_KINDS: dict[Any, str] = {
    "boolean": "True or False",
    "random_state": "an integer of at least 0",
    "array-like": "a list",
    list: "a list",
    tuple: "a list",
    np.ndarray: "a list",
    dict: "a dict",
    str: "a name",
    callable: "a function",
    Schedule: "a schedule of fastmlp.schedules",
    None: "None",
}


def _allowed(constraints: Sequence[Any]) -> str:
    """Describe the values that one of several constraints allows, names in alphabetical order."""
    names: list[str] = []
    kinds: list[str] = []
    for constraint in constraints:
        if isinstance(constraint, Options):  # StrOptions are Options
            names += sorted(map(repr, constraint.options))
        elif isinstance(constraint, Interval):
            kinds.append(_range(constraint))
        else:
            kinds.append(_KINDS[constraint])
    *others, last = dict.fromkeys([*names, *kinds])
    return f"{', '.join(others)} or {last}" if others else last


def _range(interval: Any) -> str:
    """Describe the numbers in an interval."""
    kind = "an integer" if interval.type is Integral else "a number"
    limits = []
    if interval.left is not None:
        is_closed = interval.closed in ("left", "both")
        limits.append(f"{'of at least' if is_closed else 'above'} {interval.left}")
    if interval.right is not None:
        is_closed = interval.closed in ("right", "both")
        limits.append(f"{'at most' if is_closed else 'below'} {interval.right}")
    return f"{kind} {' and '.join(limits)}"


# Parameters that change the steps of the other solvers, which L-BFGS cannot honour.
_STEP_OPTIONS = (
    "weight_decay", "l1", "max_norm", "dropout", "clip_value", "clip_norm", "lr_schedule",
)  # fmt: skip


def check_together(estimator: Any, eval_set: Sequence[Any] | None, incremental: bool) -> None:
    """Check that the parameters of an estimator can be used together.

    Parameters
    ----------
    estimator : BaseMLP
    eval_set : tuple or None
        The argument of ``fit``.
    incremental : bool
        Whether ``partial_fit`` was called.

    Raises
    ------
    ValueError
        When they cannot; the message says which, and what to do.
    """
    _check_floats(estimator)
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
    if holds_out and eval_set is None and estimator.validation_fraction == 0:
        raise ValueError(
            "early_stopping=True holds out a share of the rows: validation_fraction must be above "
            "0, got 0"
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


# Parameters that are numbers of the network's type in each step. Those of the first kind must not
# become zero there: a step would divide by it, or nothing would be learned. (Where a rate or a
# penalty becomes zero, its effect is smaller than any difference of two weights.) Those of the
# second kind must not become infinite, and for the others infinity is no limit, as it should be.
_MUST_NOT_VANISH = ("epsilon", "clip_value", "clip_norm", "max_norm", "huber_delta")
_MUST_BE_FINITE = ("alpha", "l1", "learning_rate_init", "weight_decay", "epsilon", "huber_delta")
_WITHOUT_EPSILON = ("gd", "sgd")


def check_representable(estimator: Any, dtype: np.dtype) -> None:
    """Raise ValueError where a parameter becomes zero or infinite in the type of the weights.

    Parameters
    ----------
    estimator : BaseMLP
    dtype : numpy.dtype
        float32 or float64.
    """
    limits = np.finfo(dtype)
    smallest, largest = float(limits.smallest_subnormal), float(limits.max)
    for name in dict.fromkeys([*_MUST_NOT_VANISH, *_MUST_BE_FINITE]):
        value = getattr(estimator, name, None)
        if value is None or (name == "epsilon" and estimator.solver in _WITHOUT_EPSILON):
            continue
        if name in _MUST_NOT_VANISH and 0 < value < smallest:
            became, remedy = "0", f"at least {limits.tiny:.1g}"
        elif name in _MUST_BE_FINITE and value > largest:
            became, remedy = "infinite", f"at most {largest:.1g}"
        else:
            continue
        raise ValueError(
            f"{name}={value} is {became} in {np.dtype(dtype)}, the type of X; use {remedy}, or "
            "float64, which has a wider range"
        )


def _check_floats(estimator: Any) -> None:
    """Raise ValueError where a number is an integer that no float can hold."""
    for name in _real_parameters(type(estimator)):
        value = getattr(estimator, name)
        if isinstance(value, int) and value > sys.float_info.max:
            raise ValueError(f"{name} is an integer beyond all floats; choose a smaller number")


@once_for_class
def _real_parameters(cls: type[Any]) -> list[str]:
    """Return the names of the parameters of a class that may be real numbers."""
    return [
        name
        for name, constraints in constraints_of(cls).items()
        if any(isinstance(c, Interval) and c.type is Real for c in constraints)
    ]


def _check_solver(estimator: Any) -> None:
    """Raise ValueError for parameters that the solver cannot honour."""
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


_SKLEARN_PARAMETERS = """\
    hidden_layer_sizes : int or array-like of shape (n_hidden_layers,), default=(100,)
        Number of units of each hidden layer; ``()`` is a linear model.
    activation : str or sequence of str, default='relu'
        Activation of all hidden layers, or a sequence with one for each: 'identity', 'logistic',
        'tanh', 'relu', 'leaky_relu', 'elu', 'selu', 'gelu', 'silu' or 'softplus'. 'step' is for
        ``from_weights`` alone: it has no gradient to train by.
    solver : str, default='adam'
        The optimiser. 'gd' is gradient descent with all rows in each step and without momentum.
        'sgd' has mini-batches and momentum. 'adagrad' (Duchi et al., 2011), 'rmsprop' (Tieleman
        and Hinton, 2012), 'adam' (Kingma and Ba, 2015), 'adamw' (Adam with `weight_decay`) and
        'nadam' (Dozat, 2016, with a constant momentum) scale the steps of each parameter. 'lbfgs'
        is scipy's L-BFGS-B on the loss of all rows in float64, for small tables; it ignores
        `early_stopping` and the parameters about batches and learning rates.
    alpha : float, default=0.0001
        L2 penalty: ``alpha / (2 S)`` times the sum of squared weights is added to the loss of
        each batch, where S is the sum of its sample weights, or its number of rows.
    batch_size : int or 'auto', default='auto'
        Number of rows of a mini-batch; 'auto' is ``min(200, n_samples)``. The last batch of an
        epoch may be smaller.
    learning_rate : {'constant', 'invscaling', 'adaptive'}, default='constant'
        Schedule of the learning rate, for the solvers 'sgd' and 'gd' only; `lr_schedule` is for
        every solver. 'invscaling' divides the initial rate by ``(t + 1)**power_t`` after t rows.
        'adaptive' divides the rate by 5 each time training stalls, and ends training once the
        rate is 1e-6 or less.
    learning_rate_init : float, default=0.001
        Initial learning rate, which is the largest one of every `lr_schedule`.
    power_t : float, default=0.5
        Exponent of 'invscaling'.
    max_iter : int, default=200
        Largest number of epochs, or of iterations of 'lbfgs'.
    shuffle : bool, default=True
        Whether to shuffle the rows before each epoch.
    random_state : int, RandomState instance or None, default=None
        Source of the initial weights, the shuffles, the validation split and the dropout. With
        the same int the results are those of scikit-learn.
    tol : float, default=0.0001
        An epoch counts as an improvement if its loss or score is better by this much or more.
        'lbfgs' ends when no element of the gradient has a larger absolute value.
    verbose : bool, default=False
        Whether to print the loss of each epoch to stdout.
    warm_start : bool, default=False
        Whether ``fit`` starts from the weights of the previous fit.
    momentum : float, default=0.9
        Momentum of 'sgd', between 0 and 1.
    nesterovs_momentum : bool, default=True
        Whether to use Nesterov's momentum, which looks ahead, with 'sgd'.
    early_stopping : bool, default=False
        Whether to hold out `validation_fraction` of the rows, stop training when the score on them
        (see `scoring`) stalls, and keep the weights of the best epoch. If ``fit`` is given an
        `eval_set` its rows are scored instead, and none are held out.
    validation_fraction : float, default=0.1
        Share of the rows that early stopping holds out. The split is stratified for two classes.
    beta_1, beta_2 : float, defaults 0.9 and 0.999
        Decay of the running means of the gradient and of its square, for 'adam', 'adamw' and
        'nadam'.
    epsilon : float, default=1e-08
        Number that is added to the denominator of the steps of 'adam', 'adamw', 'nadam', 'adagrad'
        and 'rmsprop'.
    n_iter_no_change : int, default=10
        Training stalls after more than this many epochs in a row without an improvement.
    max_fun : int, default=15000
        Largest number of function evaluations of 'lbfgs'.
"""

_FURTHER_PARAMETERS = """\
    n_jobs : int or None, default=None
        Largest number of threads, of which training uses fewer where that is faster. None is
        numba's limit, which is all cores, or the share of them that joblib, Dask, Ray or Spark
        assigns; negative numbers count back from it as in scikit-learn. The results are the same
        for any number.
    device : {'cpu', 'cuda', 'auto'}, default='cpu'
        'cuda' trains and predicts on an NVIDIA GPU. Shuffles and initial weights are the same, and
        results are equal up to rounding. It is fastest for float32 X. 'auto' uses a GPU where
        there is one and the work is estimated to be large: at least 5e11 multiply-adds, or 1e10
        where this process has used the GPU for a network with the same options. The estimate is
        parameters times rows, for a fit times three and the number of epochs, of which at most 50
        count. It needs ``pip install 'fastmlp[cuda]'``.
    init : str, default='sklearn'
        Distribution of the initial weights. 'sklearn' is Glorot's uniform distribution for weights
        and biases, scaled as in scikit-learn. With all others biases are zero: 'glorot_uniform'
        and 'glorot_normal' (Glorot and Bengio, 2010; for tanh and logistic), 'he_uniform' and
        'he_normal' (He et al., 2015; for relu and similar activations), 'lecun_uniform' and
        'lecun_normal' (LeCun et al., 1998; for selu).
    momentum_form : {'accumulate', 'average'}, default='accumulate'
        Form of the momentum of 'sgd'. With 'accumulate' the velocity adds up steps,
        ``v = momentum * v - rate * g``. With 'average' it is a running mean of gradients,
        ``v = momentum * v - rate * (1 - momentum) * g``, so that steps are smaller by the factor
        ``1 - momentum``.
    rmsprop_decay : float, default=0.9
        Decay of the running mean of squared gradients of 'rmsprop'.
    weight_decay : float or None, default=None
        Decoupled weight decay (Loshchilov and Hutter, 2019): before each step weights, but not
        biases, are multiplied by ``1 - rate * weight_decay``. None is 0.01 for 'adamw', else 0.
        Unlike `alpha`, it is not a part of the gradient.
    l1 : float, default=0.0
        L1 penalty: ``l1 / S`` times the sum of absolute weights is added to the loss of each batch,
        with S as for `alpha`. Its subgradient makes weights small, but hardly ever exactly zero.
    max_norm : float or None, default=None
        Limit of the Euclidean norm of each unit's incoming weights, which are scaled down to it
        after a step; None is no limit.
    dropout : float or sequence of float, default=0.0
        Probability with which a hidden unit is switched off in a training step (Srivastava et
        al., 2014), for all hidden layers, or a sequence with one for each. The other units are
        multiplied by ``1 / (1 - dropout)``, so that predictions need no correction. The masks are
        the same for any number of threads and on any device.
    clip_value : float or None, default=None
        Each element of the gradient is clipped to ``[-clip_value, clip_value]``; None is no limit.
    clip_norm : float or None, default=None
        Limit of the Euclidean norm of the gradient of all parameters, which is scaled down to it
        after `clip_value` was applied (Pascanu et al., 2013); None is no limit.
    lr_schedule : str, Schedule or None, default=None
        Schedule of the learning rate, for every solver but 'lbfgs': 'constant', 'invscaling',
        'adaptive', 'plateau', 'step', 'cosine', 'one_cycle', 'multi_cycle', or an object of
        :mod:`fastmlp.schedules`, which has further settings. None follows `learning_rate`.
        'cosine', 'one_cycle' and 'multi_cycle' are complete after `max_iter` epochs; with the
        others a fit that takes so many may end with a ConvergenceWarning.
    scoring : str, callable or None, default=None
        The score of the validation rows, by which early stopping judges epochs: the name of a
        scorer of :mod:`sklearn.metrics`, a callable ``(estimator, X, y)``, or 'loss' for the
        negative validation loss. None is the accuracy or R^2. Scorers that take sample weights get
        those that were given, without class weights.
    swa_start : int or None, default=None
        Stochastic weight averaging (Izmailov et al., 2018): the fitted weights are the mean of
        those after each epoch from this one on, counted from 1. It cannot be used with early
        stopping, 'lbfgs' or ``partial_fit``.
    monitor : bool, default=False
        Whether ``history_`` also has the gradient's norm and the share of dead relu units of
        each layer. To measure them takes a little time in each step and epoch.
    diagnose : bool, default=True
        Whether a fit that went wrong in a known way ends with a :class:`fastmlp.TrainingWarning`
        that says what to do: where the training loss ends far above its minimum, almost all units
        of a relu layer are dead, or the validation loss rises while the training loss falls. It
        also adds advice to a ConvergenceWarning.
"""

_SHARED_ATTRIBUTES = """\
    loss_ : float
        Loss of the last epoch.
    best_loss_ : float or None
        Smallest loss of an epoch; None with early stopping.
    loss_curve_ : list of float
        Mean loss of each epoch, with penalties.
    validation_scores_ : list of float or None
        Validation score after each epoch, NaN for those that ``lr_schedule='multi_cycle'`` leaves
        out; None without early stopping. The scores of an `eval_set` without early stopping are in
        ``history_``.
    best_validation_score_ : float or None
        Largest validation score; None without early stopping.
    history_ : dict of str to list
        Lists with one number for each epoch, None where it is not known, over all fits that were
        continued by a warm start or ``partial_fit``. 'loss', 'learning_rate' (None for 'lbfgs') and
        'seconds' (the duration of the epoch) are always there. 'validation_score' is there with
        validation rows, and 'validation_loss', which has no penalties, for those of an `eval_set`,
        or with ``scoring='loss'`` or `monitor`. With `monitor` there are 'gradient_norm', a mean
        over the steps, and 'dead_units', a list with the share of each hidden relu layer's units
        that are zero for all rows, of which at most 2000 are looked at.
    t_ : int
        Number of rows trained on, once for each epoch.
    coefs_ : list of ndarray of shape (fan_in, fan_out)
        Weights of each layer.
    intercepts_ : list of ndarray of shape (fan_out,)
        Biases of each layer.
    n_features_in_ : int
        Number of features of the X in ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, where all columns of X have names of type str.
    n_iter_ : int
        Number of epochs of the last call of ``fit``.
    n_layers_ : int
        Number of layers, input and output included.
    n_outputs_ : int
        Number of units of the output layer.
    out_activation_ : str
        Activation of the output layer.
"""

_Class = TypeVar("_Class", bound=type)


_X_OF_FIT = """\
        X : array-like or sparse matrix of shape (n_samples, n_features)
            float32 is kept; everything else becomes float64. Sparse matrices stay sparse. With
            `device` 'cuda' or 'auto', X may also be an array of float32 or float64 on the GPU, with
            ``__cuda_array_interface__``, which is used there. All other arguments are copied to
            the host if they lie on the GPU.
"""

_OTHER_PARAMETERS_OF_FIT = """\
        sample_weight : array-like of shape (n_samples,), optional
            Weight of each row in the loss and in the validation score.
        eval_set : tuple (X, y) or (X, y, sample_weight), optional
            Rows that are not trained on. ``history_`` has their loss and score after each epoch.
            With ``early_stopping=True`` their score decides when to stop, and no rows are held out.
        callback : callable, optional
            It is called after each epoch with a :class:`fastmlp.Epoch`; training stops when it
            returns True. While it runs the estimator is as if training had ended with this epoch:
            it can predict, and be copied or saved. Its weights are the current ones, rather than
            those of the best epoch or their mean. They are read-only, and it is an error to assign
            fitted attributes or to fit the estimator there. Parameters that are set there count
            from the next fit on.
        checkpoint : str, Path or Checkpoint, optional
            File in which the state of training is kept, so that the same fit in another process
            goes on with it where this one is killed; see :class:`fastmlp.Checkpoint`.
"""

_ERRORS_OF_FIT = """\
        Raises
        ------
        ValueError
            When parameters or data cannot be used.
        fastmlp.DivergenceError
            When training diverged; the last finite weights are kept.
"""

_SHARED_DOCS = {
    "scikit-learn's parameters": _SKLEARN_PARAMETERS,
    "further parameters": _FURTHER_PARAMETERS,
    "shared attributes": _SHARED_ATTRIBUTES,
    "X of fit": _X_OF_FIT,
    "other parameters of fit": _OTHER_PARAMETERS_OF_FIT,
    "errors of fit": _ERRORS_OF_FIT,
}


def parameter_docs() -> dict[str, str]:
    """Return the documentation of each parameter that both estimators share.

    Returns
    -------
    dict of str to str
        The entry of a docstring by the name of the parameter, or by the first of several names.
    """
    entries = re.split(
        r"^(?= {4}\w)", _SKLEARN_PARAMETERS + _FURTHER_PARAMETERS, flags=re.MULTILINE
    )
    return {match[0]: entry for entry in entries if (match := re.match(r"\w+", entry.strip()))}


def with_shared_docs(cls: _Class) -> _Class:
    """Insert what both estimators share into the docstrings of a class and of its ``fit``."""
    for documented in (cls, cls.fit):  # type: ignore[attr-defined]
        if documented.__doc__ is None:  # python -OO strips docstrings
            continue
        for place, text in _SHARED_DOCS.items():
            documented.__doc__ = re.sub(rf" *<{place}>\n", lambda _, t=text: t, documented.__doc__)
    return cls
