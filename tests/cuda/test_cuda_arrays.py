"""Data that already lie on the GPU."""

import numpy as np
import pytest
from test_cuda_engine import scheduled

from fastmlp import MLPClassifier, MLPRegressor, fit_many, input_gradients
from fastmlp.engines.cuda.support import is_simulated

pytestmark = [
    pytest.mark.usefixtures("gpu"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 4)).astype(np.float32)
Y = RNG.integers(0, 3, 30)
QUICK = {"hidden_layer_sizes": (5,), "batch_size": 8, "max_iter": 2, "random_state": 0}


class OnGpu:
    """An array of another library, as the simulator cannot make it: it refuses to be copied."""

    def __init__(self, array):
        from numba import cuda

        self.array = cuda.to_device(array)
        self.n_copies = 0
        self.array.copy_to_host = self.copy_to_host

    def copy_to_host(self):
        self.n_copies += 1
        return self.array._ary.copy()

    @property
    def __cuda_array_interface__(self):
        return {"version": 3}

    def __array__(self, *args, **kwargs):
        raise TypeError("implicit conversion to a NumPy array is not allowed")


@pytest.fixture
def on_gpu(monkeypatch):
    """Makes an array on the device."""
    from numba import cuda

    if not is_simulated():
        return cuda.to_device
    monkeypatch.setattr(cuda, "as_cuda_array", lambda array: array.array, raising=False)
    return OnGpu


def weights(model):
    return np.concatenate([np.ravel(w) for w in (*model.coefs_, *model.intercepts_)])


@pytest.mark.parametrize(
    "options",
    [{}, {"early_stopping": True, "validation_fraction": 0.3}, {"solver": "lbfgs"},
     {"device": "auto"}],
)  # fmt: skip
@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_results_are_those_of_the_same_data_on_the_host(cls, options, on_gpu):
    model = cls(**{**QUICK, "device": "cuda", **options})
    with scheduled(0):
        expected = weights(model.set_params(device="cuda").fit(X, Y))
        predicted = model.predict(X)
        model.set_params(**options)
        there, y_there = on_gpu(X), on_gpu(Y)
        np.testing.assert_array_equal(weights(model.fit(there, y_there)), expected)
        outputs = model.predict(there)
    np.testing.assert_array_equal(outputs, predicted)
    assert type(outputs) is type(model.coefs_[0]) is np.ndarray
    assert model.n_features_in_ == 4
    if is_simulated():
        assert there.n_copies == 0 and y_there.n_copies == 1


WEIGHT = np.linspace(1, 2, 30)


def test_partial_fit(on_gpu):
    models = [MLPClassifier(**QUICK, device="cuda") for _ in range(2)]
    with scheduled(0):
        for model, there in zip(models, (np.asarray, on_gpu), strict=True):
            classes = there(np.arange(3))
            model.partial_fit(there(X), there(Y), classes=classes, sample_weight=there(WEIGHT))
            model.partial_fit(there(X), there(Y))
    np.testing.assert_array_equal(weights(models[0]), weights(models[1]))


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_sample_weights_and_scores(cls, on_gpu):
    models = [cls(**QUICK, device="cuda") for _ in range(2)]
    results = []
    with scheduled(0):
        for model, there in zip(models, (np.asarray, on_gpu), strict=True):
            x, y, weight = there(X), there(Y), there(WEIGHT)
            model.fit(x, y, weight, eval_set=(x, y, weight))
            scores = model.score(x, y), model.score(x, y, weight), model.score(X, y)
            results.append((*scores, model.history_["validation_score"]))
    assert results[0] == results[1]
    np.testing.assert_array_equal(weights(models[0]), weights(models[1]))


def test_scores_of_quantiles(on_gpu):
    model = MLPRegressor("quantile", quantiles=[0.2, 0.8], **QUICK, device="cuda")
    with scheduled(0):
        model.fit(X, Y)
        score = model.score(on_gpu(X), on_gpu(Y), on_gpu(WEIGHT))
        assert score == model.score(X, Y, WEIGHT)


def test_scorers_of_early_stopping(on_gpu):
    options = {"early_stopping": True, "validation_fraction": 0.3, "scoring": "accuracy"}
    models = [MLPClassifier(**QUICK, **options, device="cuda") for _ in range(2)]
    with scheduled(0):
        models[0].fit(X, Y, WEIGHT)
        models[1].fit(on_gpu(X), on_gpu(Y), on_gpu(WEIGHT))
    assert models[0].validation_scores_ == models[1].validation_scores_


def test_rows_are_taken_as_from_an_array(on_gpu):
    from fastmlp.engines.cuda.arrays import device_matrix

    with scheduled(0):
        matrix = device_matrix(on_gpu(X), False)
        assert device_matrix(matrix, False) is matrix
        for key in ([3, 0, 3], np.array([29, 1]), slice(4, 9), (np.arange(30) % 2 == 0, ...)):
            np.testing.assert_array_equal(np.asarray(matrix[key]), X[key])


def test_matrices_in_other_orders_are_copied_there(on_gpu):
    model = MLPRegressor(**QUICK, device="cuda")
    with scheduled(0):
        expected = weights(model.fit(X, Y))
        actual = weights(model.fit(on_gpu(np.asfortranarray(X)), Y))
    np.testing.assert_array_equal(actual, expected)


def test_a_fitted_float64_network_takes_float32(on_gpu):
    model = MLPRegressor(**QUICK, device="cuda")
    with scheduled(0):
        model.fit(X.astype(np.float64), Y)
        predicted, expected = model.predict(on_gpu(X)), model.predict(X)
    np.testing.assert_array_equal(predicted, expected)
    assert predicted.dtype == np.float64


def test_what_is_refused(on_gpu):
    model = MLPClassifier(**QUICK, device="cuda")
    bad = X.copy()
    bad[29, 3] = np.nan
    cases = [(X[0].copy(), "Expected 2D array, got 1D"), (X[:, :0].copy(), "no elements"),
             (X.astype(int), "must be float32 or float64"), (bad, "contains NaN or infinity"),
             (X[:20].copy(), "inconsistent numbers of samples")]  # fmt: skip
    with scheduled(0):
        for array, message in cases:
            with pytest.raises(ValueError, match=message):
                model.fit(on_gpu(array), Y)
        model.fit(X, Y)
        with pytest.raises(ValueError, match="X has 3 features"):
            model.predict(on_gpu(X[:, :3].copy()))
    with pytest.raises(TypeError, match=r"on a GPU; use device='cuda', or copy it"):
        MLPClassifier(**QUICK).fit(on_gpu(X), Y)


def test_checks_are_left_out_where_scikit_learn_leaves_them_out(on_gpu):
    import sklearn

    bad = X.copy()
    bad[0, 0] = np.nan
    with scheduled(0):
        model = MLPClassifier(**QUICK, device="cuda").fit(X, Y)
        with sklearn.config_context(assume_finite=True):
            assert model.predict(on_gpu(bad)).shape == (30,)


# NumPy, which the simulator computes with, warns of the overflow.
@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
def test_what_float32_cannot_hold(on_gpu):
    """A prediction computes it in float64, on the CPU; a fit refuses it."""
    large = X[:4].astype(np.float64) * 1e39
    with scheduled(0):
        model = MLPClassifier(**QUICK, device="cuda").fit(X, Y)
        single = model.predict_proba(X[:4])
        found = [model.predict_proba(rows) for rows in (large, on_gpu(large))]
        mixed = model.predict_proba(np.vstack([X[:4], large]))
        with pytest.raises(ValueError, match=r"X has values up to .* float32"):
            model.set_params(batch_size=4).partial_fit(large, Y[:4])
    expected = model.set_params(device="cpu").predict_proba(large)
    for probabilities in found:
        assert probabilities.dtype == np.float64
        np.testing.assert_array_equal(probabilities, expected)
    np.testing.assert_array_equal(mixed, np.vstack([single, expected]))


def test_input_gradients(on_gpu):
    model = MLPClassifier(**QUICK, device="cuda")
    wide = X[:5].astype(np.float64)
    with scheduled(0):
        model.fit(X, Y)
        expected, there = input_gradients(model, X), on_gpu(X)
        np.testing.assert_array_equal(input_gradients(model, there), expected)
        if is_simulated():
            assert there.n_copies == 0
        of_wide = input_gradients(model, on_gpu(wide))
        times = input_gradients(model, on_gpu(X), times_input=True)
    np.testing.assert_array_equal(times, expected * X)
    np.testing.assert_array_equal(of_wide, expected[:5])
    with pytest.raises(TypeError, match=r"on a GPU; use device='cuda', or copy it"):
        input_gradients(model.set_params(device="cpu"), on_gpu(X))


# NumPy, which the simulator computes with, warns of the overflow.
@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
def test_input_gradients_of_what_float32_cannot_hold(on_gpu):
    with scheduled(0):
        model = MLPClassifier(**QUICK, device="cuda").fit(X, Y)
        with pytest.raises(ValueError, match=r"X has values up to .* float32"):
            input_gradients(model, on_gpu(X.astype(np.float64) * 1e39))


def test_many_fits_and_too_little_memory(on_gpu, monkeypatch):
    models = [MLPRegressor(**QUICK, device="cuda"), MLPRegressor(**QUICK, device="cuda")]
    with scheduled(0):
        expected = weights(MLPRegressor(**QUICK, device="cuda").fit(X, Y))
        fit_many(models, on_gpu(X), Y)
        monkeypatch.setattr("fastmlp.engines.cuda.engine.has_room", lambda n_bytes: False)
        streamed = MLPRegressor(**QUICK, device="cuda").fit(on_gpu(X), Y)
    for model in (*models, streamed):
        np.testing.assert_array_equal(weights(model), expected)
