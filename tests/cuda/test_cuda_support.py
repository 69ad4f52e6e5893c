"""``device=`` of the estimators, and what is said where there is no GPU."""

import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.cuda import support
from fastmlp.cuda.support import is_simulated, why_not
from fastmlp.devices import backend
from fastmlp.errors import DeviceError
from fastmlp.plan import Activation, Loss, Optimizer, TrainingPlan

X = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
Y = np.arange(12) % 3
QUICK = {"hidden_layer_sizes": (5,), "batch_size": 6, "random_state": 0}


@pytest.fixture
def no_gpu():
    if not why_not():
        pytest.skip("there is a GPU, or a simulated one")


@pytest.fixture
def another_answer():
    """The question is asked anew, in this test and after it."""
    why_not.cache_clear()
    yield
    why_not.cache_clear()


def fit(model):
    return model.fit(X, Y, callback=lambda epoch: epoch.epoch == 2)


def weights(model):
    return np.concatenate([np.ravel(w) for w in (*model.coefs_, *model.intercepts_)])


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_without_a_gpu_the_reason_is_said_in_one_line(cls, no_gpu):
    with pytest.raises(DeviceError, match=r"device='cuda' cannot be used: .") as error:
        fit(cls(**QUICK, device="cuda"))
    assert "\n" not in str(error.value) and not str(error.value).endswith(":")


@pytest.mark.skipif(is_simulated(), reason="the simulator needs no driver")
def test_missing_driver_is_named(another_answer, monkeypatch):
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    from numba import cuda

    class NoGpus:
        def __len__(self):
            raise RuntimeError("Error at driver init: \n\nCUDA driver library cannot be found.\n")

    monkeypatch.setattr(cuda, "is_available", lambda: False)
    monkeypatch.setattr(cuda, "gpus", NoGpus())
    assert why_not() == (
        "there is no usable NVIDIA driver: Error at driver init: CUDA driver library cannot be "
        "found."
    )


def test_auto_falls_back_quietly(no_gpu, monkeypatch):
    monkeypatch.setattr("fastmlp.devices._least_work", lambda *work: 0)
    models = [fit(MLPClassifier(**QUICK, device=device)) for device in ("auto", "cpu")]
    np.testing.assert_array_equal(weights(models[0]), weights(models[1]))
    np.testing.assert_array_equal(models[0].predict_proba(X), models[1].predict_proba(X))


def test_missing_package_is_named(monkeypatch, another_answer):
    monkeypatch.setitem(sys.modules, "numba_cuda", None)
    assert "pip install 'fastmlp[cuda]'" in why_not()
    with pytest.raises(DeviceError, match="numba-cuda is not installed"):
        fit(MLPClassifier(**QUICK, device="cuda"))


@pytest.mark.skipif(is_simulated(), reason="the simulator needs no toolchain")
def test_broken_toolchain_is_named(monkeypatch, another_answer):
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    from numba import cuda

    def fail(cuda):
        raise OSError("libnvrtc.so: cannot open\nshared object file")

    monkeypatch.setattr(cuda, "is_available", lambda: True)
    monkeypatch.setattr(support, "_try_kernel", fail)
    assert why_not() == (
        "the CUDA toolchain is broken: OSError: libnvrtc.so: cannot open shared object file"
    )


def test_unknown_device():
    with pytest.raises(ValueError, match="device"):
        fit(MLPClassifier(**QUICK, device="tpu"))


def test_nothing_of_cuda_is_imported_for_the_cpu():
    code = """
import sys, numpy as np, fastmlp
model = fastmlp.MLPRegressor(device="auto", max_iter=1)
model.fit(np.eye(5), np.arange(5), callback=lambda epoch: True).predict(np.eye(5))
assert not [name for name in sys.modules if name.startswith(("fastmlp.cuda", "numba.cuda.cudadrv"))]
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_estimators_on_the_gpu(cls, early_stopping, gpu):
    on_gpu, on_cpu = (
        fit(cls(**QUICK, device=device, early_stopping=early_stopping, validation_fraction=0.3))
        for device in ("cuda", "cpu")
    )
    np.testing.assert_allclose(weights(on_gpu), weights(on_cpu), rtol=0, atol=1e-5)
    np.testing.assert_allclose(on_gpu.loss_curve_, on_cpu.loss_curve_, rtol=1e-5)
    outputs = "predict_proba" if cls is MLPClassifier else "predict"
    predicted, expected = (getattr(model, outputs)(X) for model in (on_gpu, on_cpu))
    np.testing.assert_allclose(predicted, expected, rtol=0, atol=1e-5)
    assert predicted.dtype == np.float32 and type(on_gpu.coefs_[0]) is np.ndarray


def test_partial_fit_and_lbfgs_on_the_gpu(gpu):
    models = [MLPClassifier(**QUICK, device=device) for device in ("cuda", "cpu")]
    for model in models:
        for _ in range(2):
            model.partial_fit(X, Y, classes=[0, 1, 2])
    np.testing.assert_allclose(weights(models[0]), weights(models[1]), rtol=0, atol=1e-5)
    models = [
        fit(MLPRegressor(**QUICK, solver="lbfgs", device=device)) for device in ("cuda", "cpu")
    ]
    np.testing.assert_allclose(weights(models[0]), weights(models[1]), rtol=0, atol=1e-10)


def test_a_full_gpu_is_no_obstacle_for_auto_and_predictions(gpu, monkeypatch):
    from types import SimpleNamespace

    from numba import cuda

    monkeypatch.setattr("fastmlp.devices._least_work", lambda *work: 0)
    expected = fit(MLPClassifier(**QUICK))
    full = SimpleNamespace(
        get_memory_info=lambda: (100, 2**30), deallocations=SimpleNamespace(clear=lambda: None)
    )
    monkeypatch.setattr(cuda, "current_context", lambda: full)
    for device in ("auto", "cuda"):
        copy = pickle.loads(pickle.dumps(expected)).set_params(device=device)
        np.testing.assert_array_equal(copy.predict_proba(X), expected.predict_proba(X))
    model = fit(MLPClassifier(**QUICK, device="auto"))
    np.testing.assert_array_equal(weights(model), weights(expected))
    with pytest.raises(DeviceError, match="are free on the GPU"):
        fit(MLPClassifier(**QUICK, device="cuda"))


@pytest.mark.parametrize("n_epochs", [0, 3])
def test_auto_takes_a_gpu_for_less_once_kernels_are_compiled(n_epochs, gpu, monkeypatch):
    from fastmlp.cpu.engine import CpuEngine
    from fastmlp.cuda.engine import CudaEngine

    def engine(plan, device="auto", n_epochs=n_epochs):
        return backend(device, plan, X, n_epochs).engine

    kinds = Activation.RELU, Loss.SQUARED_ERROR, Optimizer.ADAM
    plan = TrainingPlan((4, 5, 3), *kinds, dtype=np.dtype(np.float32), batch_size=6)
    work = (4 * 5 + 5 + 5 * 3 + 3) * len(X) * max(1, 3 * n_epochs)
    monkeypatch.setattr("fastmlp.devices._AUTO_MULTIPLY_ADDS_COMPILED", work)
    monkeypatch.setattr("fastmlp.devices._compiled", set())
    assert engine(plan) is CpuEngine
    assert engine(plan, "cuda", 3 - n_epochs) is CudaEngine
    assert engine(plan) is CpuEngine  # training and predicting are kernels of their own
    assert engine(plan, "cuda") is CudaEngine
    assert engine(plan) is CudaEngine
    for others in (
        {"layer_units": (4, 4, 3)},
        {"activation": Activation.GELU},
        {"dtype": np.dtype(np.float64)},
    ):
        assert engine(replace(plan, **others)) is CpuEngine


def test_sparse_inputs_are_for_the_cpu(gpu):
    with pytest.raises(DeviceError, match="takes dense X"):
        fit_sparse = MLPClassifier(**QUICK, device="cuda")
        fit_sparse.fit(sp.csr_array(X), Y)


def test_models_work_without_the_gpu_that_trained_them(gpu, monkeypatch, another_answer):
    model = fit(MLPClassifier(**QUICK, device="cuda"))
    expected = model.predict_proba(X)
    monkeypatch.setattr("fastmlp.cuda.support.why_not", lambda: "it was taken away")
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_allclose(copy.predict_proba(X), expected, rtol=0, atol=1e-6)
