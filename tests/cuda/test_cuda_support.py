"""``device=`` of the estimators, and what is said where there is no GPU."""

import os
import pickle
import re
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import scipy.sparse as sp

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.engines.cuda import support
from fastmlp.engines.cuda.support import is_simulated, why_not
from fastmlp.exceptions import DeviceError
from fastmlp.network.plan import Activation, Loss, Optimizer, TrainingPlan
from fastmlp.tools.doctor import examine

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


@pytest.fixture
def fake_driver(another_answer, monkeypatch):
    """A driver without a GPU, which does not start before a test lets it."""
    if is_simulated():
        pytest.skip("the simulator needs no driver")
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    from numba import cuda

    driver = SimpleNamespace(pid=None, get_version=lambda: (13, 0))
    monkeypatch.setattr("numba.cuda.cudadrv.driver.driver", driver)
    monkeypatch.setattr(cuda, "is_available", lambda: False)
    monkeypatch.setattr(support, "_try_kernel", lambda cuda: None)

    def fail_to_start(message):
        class NoGpus:
            def __len__(self):
                raise RuntimeError(f"Error at driver init: \n{message}:")

        monkeypatch.setattr(cuda, "gpus", NoGpus())

    def start(**changes):
        monkeypatch.setattr(cuda, "is_available", lambda: True)
        vars(driver).update(changes)

    return SimpleNamespace(start=start, fail_to_start=fail_to_start)


@pytest.mark.parametrize(
    ("message", "reason"),
    [("\nCUDA driver library cannot be found.\n",
      "there is no usable NVIDIA driver: Error at driver init: CUDA driver library cannot be "
      "found."),
     ("Call to cuInit results in CUDA_ERROR_NO_DEVICE (100)",
      "no NVIDIA GPU is visible with CUDA_VISIBLE_DEVICES=''"),
     ("Call to cuInit results in CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803)",
      "the CUDA toolchain is broken: Error at driver init: Call to cuInit results in "
      "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803)"),
     ("Call to cuInit results in CUDA_ERROR_NOT_INITIALIZED (3)",
      "this process was forked from one that had used the GPU; start it with spawn, or use the "
      "GPU in the child alone")],
)  # fmt: skip
def test_driver_that_does_not_start_is_named(message, reason, fake_driver, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    fake_driver.fail_to_start(message)
    assert why_not() == reason


def test_old_driver_is_named(fake_driver):
    fake_driver.start(get_version=lambda: (12, 8))
    assert re.fullmatch(
        r"the CUDA toolchain is broken: the NVIDIA driver is one for CUDA 12\.8, and the installed "
        r"toolkit is CUDA 13\.\d+; update the driver, for CUDA 13 to 580 or later", why_not(),
    )  # fmt: skip


def test_driver_is_described(fake_driver, monkeypatch):
    from numba import cuda

    fake_driver.start()
    device = SimpleNamespace(name="NVIDIA H100", compute_capability=(9, 0))
    monkeypatch.setattr(cuda, "get_current_device", lambda: device)
    assert why_not() == ""
    assert support.describe() == "NVIDIA H100, compute capability 9.0, driver for CUDA 13.0"


def test_auto_falls_back_quietly(no_gpu, monkeypatch):
    monkeypatch.setattr("fastmlp.engines.devices._least_work", lambda *work: 0)
    models = [fit(MLPClassifier(**QUICK, device=device)) for device in ("auto", "cpu")]
    np.testing.assert_array_equal(weights(models[0]), weights(models[1]))
    np.testing.assert_array_equal(models[0].predict_proba(X), models[1].predict_proba(X))


def test_missing_package_is_named(monkeypatch, another_answer):
    monkeypatch.setitem(sys.modules, "numba_cuda", None)
    assert "pip install 'fastmlp[cuda]'" in why_not()
    with pytest.raises(DeviceError, match="numba-cuda is not installed"):
        fit(MLPClassifier(**QUICK, device="cuda"))


@pytest.mark.parametrize(
    ("error", "reason"),
    [(OSError("libnvrtc.so: cannot open\nshared object file"),
      "the CUDA toolchain is broken: OSError: libnvrtc.so: cannot open shared object file"),
     (RuntimeError("Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY"),
      "memory for the GPU ran out; end other programs that use it, or use device='cpu'")],
)  # fmt: skip
def test_kernel_that_does_not_run_is_explained(error, reason, fake_driver, monkeypatch):
    def fail(cuda):
        raise error

    fake_driver.start()
    monkeypatch.setattr(support, "_try_kernel", fail)
    assert why_not() == reason


@pytest.mark.parametrize(
    "error", [ModuleNotFoundError("No module named 'cuda.core'"), OSError("libnvrtc.so is gone")]
)
def test_package_that_cannot_be_imported_is_named(error, monkeypatch, another_answer):
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    import numba

    class Finder:
        def find_spec(self, name, path, target=None):
            if name == "numba.cuda":
                raise error

    monkeypatch.delitem(sys.modules, "numba.cuda", raising=False)
    monkeypatch.delattr(numba, "cuda", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    reason = f"the CUDA toolchain is broken: {type(error).__name__}: {error}"
    assert why_not() == reason
    facts, problems = examine()
    assert facts["GPU"] == f"not usable: {reason}" and reason in problems
    monkeypatch.setattr("fastmlp.engines.devices._least_work", lambda *work: 0)
    fit(MLPClassifier(**QUICK, device="auto")).predict(X)


def test_a_machine_without_a_gpu_has_no_problem(monkeypatch):
    monkeypatch.setattr(support, "why_not", lambda: "no NVIDIA GPU is visible")
    facts, problems = examine()
    assert facts["GPU"] == "not usable: no NVIDIA GPU is visible"
    assert not [problem for problem in problems if "GPU" in problem]


def test_arrays_on_a_gpu_that_cannot_be_used(monkeypatch):
    class OnGpu:
        __cuda_array_interface__: ClassVar = {"version": 3}

    monkeypatch.setattr(support, "why_not", lambda: "it was taken away")
    monkeypatch.setitem(sys.modules, "fastmlp.engines.cuda.arrays", None)  # nor imported
    for data in ((OnGpu(), Y), (X, OnGpu())):
        with pytest.raises(
            DeviceError, match="array on a GPU cannot be read here: it was taken away"
        ):
            MLPClassifier(**QUICK, device="auto").fit(*data)


def test_another_gpu_than_the_current_one_is_named(fake_driver, monkeypatch):
    from numba import cuda

    from fastmlp.engines.cuda.arrays import _check_gpu

    array = SimpleNamespace(__cuda_array_interface__={"data": (4096, False)})
    monkeypatch.setattr(cuda, "get_current_device", lambda: SimpleNamespace(id=0))
    fake_driver.start(cuPointerGetAttribute=lambda attribute, pointer: pointer // 4096)
    with pytest.raises(ValueError, match=r"on GPU 1, .* is GPU 0; .*select_device\(1"):
        _check_gpu(array)
    array.__cuda_array_interface__["data"] = 0, False
    _check_gpu(array)


def in_a_new_process(code, *flags, **environment):
    """Run code, which finds the packages of this process."""
    path = os.pathsep.join(filter(None, sys.path))
    subprocess.run(
        [sys.executable, *flags, "-c", code],
        check=True, env={**os.environ, "PYTHONPATH": path, **environment},
    )  # fmt: skip


def test_numpy_without_row_stack():
    """As NumPy 2.5 is: numba-cuda works, and NumPy's namespace is left as it was."""
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    in_a_new_process("""
import numpy as np
if vars(np).pop("row_stack", None):
    np.__all__.remove("row_stack")
from fastmlp.engines.cuda.support import is_simulated
assert not hasattr(np, "row_stack")
import numba.cuda.np.arrayobj
from numba import cuda, float64
if not is_simulated():
    cuda.compile_ptx(lambda x: None, (float64[:],), cc=(8, 0))
assert not hasattr(np, "row_stack")
""")


def test_numpy_with_row_stack():
    """Before NumPy 2.5 nothing of it is touched."""
    in_a_new_process("""
import numpy as np
np.row_stack = mine = lambda *args: None
import fastmlp.engines.cuda
assert np.row_stack is mine
""")


@pytest.mark.parametrize("is_first", [True, False])
def test_packages_in_a_folder_whose_pth_files_are_not_read(is_first):
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    in_a_new_process(
        f"""
if not {is_first}:
    import numba.cuda
from fastmlp.engines.cuda.support import why_not
assert ("is numba's own" in why_not()) != {is_first}, why_not()
from numba import cuda
assert ("numba_cuda" in cuda.__file__) == {is_first}
""",
        "-S",
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_forked_from_a_process_that_has_used_the_gpu():
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    if is_simulated():
        pytest.skip("the simulator may be forked")
    in_a_new_process("""
import os
import numpy as np
from numba import cuda
from numba.cuda.cudadrv import driver
from fastmlp import MLPClassifier
from fastmlp.engines import devices
from fastmlp.engines.cuda import support
from fastmlp.exceptions import DeviceError

class Driver:
    pid = None
    def get_version(self):
        return 13, 4

def child_says():
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 0
    try:
        if support.why_not():
            status = 1
            assert "forked" in support.why_not() and "spawn" in support.why_not()
            devices._least_work = lambda *work: 0
            X, y = np.eye(6), np.arange(6) % 2
            model = MLPClassifier((3,), device="auto", max_iter=1)
            model.fit(X, y, callback=lambda epoch: True).set_params(device="cuda").predict(X)
            try:
                model.fit(X, y)
            except DeviceError as error:
                assert "forked" in str(error)
            else:
                status = 2
    except BaseException:
        status = 3
        raise
    finally:
        os._exit(status)

driver.driver = Driver()
cuda.is_available = lambda: True
support._try_kernel = lambda cuda: None
assert support.why_not() == "" and child_says() == 0
driver.driver.pid = os.getpid()
assert support.why_not() == "" and child_says() == 1
""")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_does_not_wait_for_threads_of_the_other(gpu):
    in_a_new_process("""
import os, threading
from fastmlp.engines.cuda import network

held, end = threading.Event(), threading.Event()

@network.one_at_a_time
def hold():
    held.set()
    end.wait()

thread = threading.Thread(target=hold)
thread.start()
held.wait()
child = os.fork()
if not child:
    os._exit(not network._device.acquire(blocking=False))
end.set()
thread.join()
assert os.waitpid(child, 0)[1] == 0
""")


def test_unknown_device():
    with pytest.raises(ValueError, match="device"):
        fit(MLPClassifier(**QUICK, device="tpu"))


def test_nothing_of_cuda_is_imported_for_the_cpu():
    code = """
import sys, numpy as np, fastmlp
model = fastmlp.MLPRegressor(device="auto", max_iter=1)
model.fit(np.eye(5), np.arange(5), callback=lambda epoch: True).predict(np.eye(5))
cuda = "fastmlp.engines.cuda", "numba.cuda.cudadrv"
assert not [name for name in sys.modules if name.startswith(cuda)]
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


@pytest.mark.parametrize("is_known", [False, True])
def test_a_full_gpu_is_no_obstacle_for_auto_and_predictions(gpu, is_known, monkeypatch, request):
    monkeypatch.setattr("fastmlp.engines.devices._least_work", lambda *work: 0)
    expected = fit(MLPClassifier(**QUICK))
    request.getfixturevalue("device_memory" if is_known else "full_device")
    for device in ("auto", "cuda"):
        copy = pickle.loads(pickle.dumps(expected)).set_params(device=device)
        np.testing.assert_array_equal(copy.predict_proba(X), expected.predict_proba(X))
    model = fit(MLPClassifier(**QUICK, device="auto"))
    np.testing.assert_array_equal(weights(model), weights(expected))
    said = "are free on the GPU" if is_known else "memory for the GPU ran out"
    with pytest.raises(DeviceError, match=said):
        fit(MLPClassifier(**QUICK, device="cuda"))


@pytest.mark.parametrize("n_epochs", [0, 3])
def test_auto_takes_a_gpu_for_less_once_kernels_are_compiled(n_epochs, gpu, monkeypatch):
    from fastmlp.engines import devices
    from fastmlp.engines.cpu.engine import CpuEngine
    from fastmlp.engines.cuda.engine import CudaEngine

    def engine(plan, device="auto", n_epochs=n_epochs):
        is_for_gpu = devices._is_for_gpu(device, plan, X, n_epochs)
        return CudaEngine if is_for_gpu else CpuEngine

    kinds = Activation.RELU, Loss.SQUARED_ERROR, Optimizer.ADAM
    plan = TrainingPlan((4, 5, 3), *kinds, dtype=np.dtype(np.float32), batch_size=6)
    work = (4 * 5 + 5 + 5 * 3 + 3) * len(X) * max(1, 3 * n_epochs)
    monkeypatch.setattr("fastmlp.engines.devices._AUTO_MULTIPLY_ADDS_COMPILED", work)
    monkeypatch.setattr("fastmlp.engines.devices._compiled", set())
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
    monkeypatch.setattr("fastmlp.engines.cuda.support.why_not", lambda: "it was taken away")
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_allclose(copy.predict_proba(X), expected, rtol=0, atol=1e-6)
