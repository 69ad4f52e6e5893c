"""Custom losses that raise exceptions, and what is kept of their machine code."""

import gc
import pickle
import threading
import weakref

import numpy as np
import pytest
import scipy.sparse as sp
from helpers import fit_quietly, flat, use_all_threads
from numba import njit, types
from numba.core import codegen
from numba.core.registry import cpu_target

from fastmlp import DivergenceError, MLPRegressor, check_gradient, fit_many
from fastmlp.engines.cpu import custom_loss, engine
from fastmlp.exceptions import CustomLossError, InputError

RNG = np.random.RandomState(3)
X = RNG.normal(size=(40, 3))
Y = RNG.randint(0, 3, 40).astype(float)
Y[23] = 3.0  # a grade without an entry below
PRICES = (1.0, 5.0, 2.0)
TABLE = np.array(PRICES)


def squares(y, p):
    return (y - p) ** 2


def slope(y, p):
    return 2 * (p - y)


@njit
def price(grade):
    return PRICES[int(grade)]


def of_empty_list(y, p):
    rest = [1.0]
    if y > 2:
        rest.pop()
    return rest.pop() * (y - p) ** 2


def inverted(y, p):
    return np.linalg.inv(np.eye(2) * (y - 3))[0, 0] + (y - p) ** 2


RAISING = {
    "tuple": (lambda y, p: PRICES[int(y)] * (y - p) ** 2, IndexError),
    "array": (lambda y, p: TABLE[int(y)] * (y - p) ** 2, IndexError),
    "list": (lambda y, p: [1.0, 2.0, 3.0][int(y)] * p, IndexError),
    "of another function": (lambda y, p: price(y) * (y - p) ** 2, IndexError),
    "dict": (lambda y, p: {0: 1.0, 1: 2.0, 2: 3.0}[int(y)] * p, KeyError),
    "matrix": (inverted, np.linalg.LinAlgError),
    "size": (lambda y, p: np.zeros(2 - int(y)).sum() + p, ValueError),
    "pop": (of_empty_list, IndexError),
    "division": (lambda y, p: 6 // (3 - int(y)) * p, ZeroDivisionError),
    "remainder": (lambda y, p: 6 % (3 - int(y)) * p, ZeroDivisionError),
}


def network(loss, **options):
    options = {"hidden_layer_sizes": (4,), "max_iter": 4, "random_state": 0} | options
    return MLPRegressor(loss, diagnose=False, **options)


def failed(model, *args, method="fit", **kwargs):
    with pytest.raises(CustomLossError) as caught:
        getattr(model, method)(*args, **kwargs)
    return caught.value


@pytest.mark.parametrize(("name", "number"), [*((name, 0) for name in RAISING), ("tuple", 1)])
def test_an_exception_in_one_row_ends_the_fit(name, number):
    function, kind = RAISING[name]
    loss = (function, slope) if number == 0 else (squares, function)
    model = network(loss)
    error = failed(model, X, Y)
    what = ("value", "derivative")[number]
    assert str(error).startswith(f"in epoch 1 the {what} function")
    assert "cannot be computed for target 3 and prediction" in str(error)
    assert type(error.__cause__) is kind and kind.__name__ in str(error)
    assert isinstance(error, InputError) and "\n" not in str(error)
    start = fit_quietly(network((squares, slope), learning_rate_init=1e-300, max_iter=1), X, Y)
    np.testing.assert_array_equal(flat(model), flat(start))
    assert model.loss_curve_ == [] and model.n_iter_ == 0
    assert model.predict(X).shape == (40,)


@pytest.mark.parametrize(("dtype", "batch_size"), [(np.float32, 40), (np.float64, 7)])
def test_what_was_learned_before_the_epoch_is_kept(dtype, batch_size):
    limit = 0.05

    def raises_later(y, p):
        return (y - p) ** 2 + (0.0,)[int(p > limit)]

    options = {"batch_size": batch_size, "learning_rate_init": 0.01, "max_iter": 200}
    rows, target = X.astype(dtype), np.full(40, 9.0)
    weights = fit_quietly(network((squares, slope), **options | {"max_iter": 1}), rows, target)
    limit = float(weights.predict(rows).max()) + 0.7
    model = network((raises_later, slope), **options)
    error = failed(model, rows, target)
    epoch = int(str(error).split()[2])
    assert epoch > 2 and model.n_iter_ == len(model.loss_curve_) == epoch - 1
    assert np.isfinite(model.loss_curve_).all()
    same = network((squares, slope), **options)
    same.fit(rows, target, callback=lambda one: one.epoch == epoch - 1)
    np.testing.assert_array_equal(flat(model), flat(same))
    assert model.history_["loss"] == same.history_["loss"]


@pytest.mark.parametrize("batch_size", [30, 300])  # the second one is summed in groups of rows
def test_the_first_row_is_named_with_any_number_of_threads(batch_size, monkeypatch):
    use_all_threads(monkeypatch)
    monkeypatch.setattr(engine, "default_n_threads", lambda: 3)
    monkeypatch.setattr(engine, "_TEAM_MULTIPLY_ADDS", 1)
    rows = RNG.normal(size=(300, 3))
    target = RNG.randint(0, 3, 300).astype(float)
    target[100:] += np.linspace(3, 4, 200)
    loss = RAISING["tuple"][0], slope
    texts = set()
    for n_jobs in (1, 2, 3):
        for _ in range(3):
            model = network(loss, shuffle=False, batch_size=batch_size, n_jobs=n_jobs)
            texts.add(str(failed(model, rows, target, sample_weight=np.full(300, 0.3))))
    assert len(texts) == 1 and f"for target {target[100]:g} and" in texts.pop()


def test_several_outputs_and_sparse_rows():
    targets = np.zeros((40, 11))
    targets[31, 9] = 3.0
    for rows in (X, sp.csr_matrix(X)):
        error = failed(network((RAISING["tuple"][0], slope)), rows, targets)
        assert "for target 3 and" in str(error)


@pytest.mark.parametrize("n_outputs", [1, 3, 5, 8])
def test_functions_need_not_be_defined_for_padding(n_outputs):
    shifted = {1: 1.0, 2: 2.0}

    def value(y, p):
        return {1: 1.0, 2: 2.0}[int(y)] * (y - p) ** 2

    def derivative(y, p):
        return {1: 1.0, 2: 2.0}[int(y)] * 2 * (p - y)

    targets = RNG.randint(1, 3, (40, n_outputs)).astype(float).squeeze()
    model = fit_quietly(
        network((value, derivative), alpha=0, learning_rate_init=1e-300), X, targets
    )
    P = model.predict(X).reshape(40, n_outputs)
    columns = targets.reshape(40, n_outputs)
    each = np.vectorize(shifted.get)(columns) * (columns - P) ** 2
    assert model.loss_ == pytest.approx(each.sum(axis=1).mean(), rel=1e-9)
    assert check_gradient(network((value, derivative), activation="tanh"), X, targets) < 1e-6


def test_lbfgs_keeps_the_last_iterate():
    limit = 1.0

    def raises_later(y, p):
        return (y - p) ** 2 + (0.0,)[int(p > limit)]

    model = network((raises_later, slope), solver="lbfgs", max_iter=50)
    error = failed(model, X, np.full(40, 9.0))
    assert str(error).startswith(f"in iteration {model.n_iter_ + 1} the value function")
    assert type(error.__cause__) is IndexError and np.isfinite(flat(model)).all()
    assert len(model.loss_curve_) == model.n_iter_


def test_partial_fit_keeps_the_weights_of_the_batches_before():
    model = network((RAISING["dict"][0], slope))
    known = Y < 3
    model.partial_fit(X[known], Y[known])
    before = flat(model)
    failed(model, X, Y, method="partial_fit")
    np.testing.assert_array_equal(flat(model), before)
    model.partial_fit(X[known], Y[known])
    assert (flat(model) != before).any()


def test_early_stopping_keeps_the_best_weights():
    limit = 0.0

    def raises_later(y, p):
        return (y - p) ** 2 + (0.0,)[int(p > limit)]

    options = {"early_stopping": True, "max_iter": 300, "learning_rate_init": 0.01}
    first = fit_quietly(network((squares, slope), **options | {"max_iter": 1}), X, Y)
    limit = float(first.predict(X).max()) + 1
    model = network((raises_later, slope), **options)
    failed(model, X, np.linspace(8, 9, 40))
    best = int(np.argmax(model.validation_scores_)) + 1
    same = network((squares, slope), **options)
    same.fit(X, np.linspace(8, 9, 40), callback=lambda epoch: epoch.epoch == best)
    np.testing.assert_array_equal(flat(model), flat(same))


@pytest.mark.parametrize("scoring", [None, "loss"])
def test_an_exception_in_the_validation_rows_alone(scoring):
    known = Y < 3
    model = network((RAISING["tuple"][0], slope), scoring=scoring)
    error = failed(model, X[known], Y[known], eval_set=(X, Y))
    assert str(error).startswith("in epoch 1 the value function")
    assert "for target 3" in str(error) and type(error.__cause__) is IndexError
    assert model.loss_curve_ == []


def test_check_gradient_says_it():
    with pytest.raises(CustomLossError, match="the derivative function"):
        check_gradient(network((squares, RAISING["array"][0])), X, Y)


def test_fit_many_completes_the_others():
    models = [
        network((squares, slope)),
        network((RAISING["tuple"][0], slope)),
        network((squares, slope)),
    ]
    with pytest.warns(match="Maximum iterations"), pytest.raises(CustomLossError):
        fit_many(models, X, Y)
    assert [len(model.loss_curve_) for model in models] == [4, 0, 4]


def test_errors_can_be_sent_to_other_processes():
    error = failed(network((RAISING["dict"][0], slope)), X, Y)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is CustomLossError and str(copy) == str(error)


@pytest.mark.parametrize(
    ("loss", "found"),
    [
        ((lambda y, p: np.nan if y > 2 else p, slope), "value function .* gives nan"),
        ((lambda y, p: np.inf if y > 2 else p, slope), "value function .* gives inf"),
        ((squares, lambda y, p: np.nan if y > 2 else p), "derivative function .* gives nan"),
    ],
)  # fmt: skip
def test_losses_that_are_not_finite_are_named_where_training_diverges(loss, found):
    with pytest.raises(DivergenceError, match=f"The loss is custom: the {found} for target 3 and"):
        network(loss).fit(X, Y)


def fit_of_a_new_loss(scale):
    """A model of a loss that encloses a number, as those of a search over it do."""

    def value(y, p):
        return scale * (y - p) ** 2

    def derivative(y, p):
        return 2 * scale * (p - y)

    # A callback that ends training: no warning, which another thread could not catch.
    return network((value, derivative)).fit(X, Y, callback=lambda epoch: True)


def test_machine_code_of_old_losses_is_freed(monkeypatch):
    engines = []
    compile_one = custom_loss._compile

    def compile_and_note(*args):
        function = compile_one(*args)
        (result,) = function.overloads.values()
        engines.append(weakref.ref(result.library.codegen))
        return function

    monkeypatch.setattr(custom_loss, "_compile", compile_and_note)
    for scale in range(3):
        fit_of_a_new_loss(1.5 + scale)
    usual = cpu_target.target_context.codegen()
    alive = {one() for one in engines}
    assert len(engines) == 6 and len(alive) == 3 and not alive & {usual, None}
    del alive
    custom_loss.compile_custom.cache_clear()
    gc.collect()
    # numba remembers what it has compiled last.
    assert len({one() for one in engines} - {None}) <= 1
    # What is compiled later is numba's own business again.
    later = njit(lambda x: x + 1)
    later.compile((types.int64,))
    assert later.overloads[(types.int64,)].library.codegen is usual


def test_without_numbas_names_losses_are_compiled_as_usual(monkeypatch):
    expected = flat(fit_of_a_new_loss(0.25))
    custom_loss.compile_custom.cache_clear()
    monkeypatch.delattr(codegen, "JITCPUCodegen")
    np.testing.assert_array_equal(flat(fit_of_a_new_loss(0.25)), expected)


def test_losses_compile_in_threads_beside_other_functions():
    expected = [flat(fit_of_a_new_loss(scale + 0.125)) for scale in range(3)]
    custom_loss.compile_custom.cache_clear()
    found, errors = {}, []

    def work(scale):
        try:
            other = njit(lambda x: x * scale)
            assert other(2.0) == 2.0 * scale
            found[scale] = flat(fit_of_a_new_loss(scale + 0.125))
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=work, args=(scale,)) for scale in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert errors == []
    for scale, theta in enumerate(expected):
        np.testing.assert_array_equal(found[scale], theta)
