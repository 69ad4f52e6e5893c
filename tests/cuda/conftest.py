"""What the tests of the CUDA backend need: a GPU, or numba's simulator of one.

``NUMBA_ENABLE_CUDASIM=1 pytest tests/cuda`` runs them without a GPU. With it, or with
``FASTMLP_REQUIRE_GPU=1``, tests fail that would be skipped where there is neither.
"""

import os
from types import SimpleNamespace

import pytest


@pytest.fixture(scope="session")
def gpu():
    """Skip unless kernels can run here."""
    from fastmlp.engines.cuda.support import is_simulated, why_not

    if why_not():
        is_required = is_simulated() or os.environ.get("FASTMLP_REQUIRE_GPU") == "1"
        (pytest.fail if is_required else pytest.skip)(why_not())


@pytest.fixture(scope="session")
def simulator(gpu):
    """Skip unless kernels are simulated."""
    from fastmlp.engines.cuda.support import is_simulated

    if not is_simulated():
        pytest.skip("for the simulator: set NUMBA_ENABLE_CUDASIM=1")


@pytest.fixture
def device_memory(monkeypatch):
    """Sets what is free on the device, of which nothing is reserved, and what numba keeps back."""
    from numba import cuda

    from fastmlp.engines.cuda import network

    memory = SimpleNamespace(free=0, pending=0, events=[])

    def clear():
        memory.free, memory.pending = memory.free + memory.pending, 0
        memory.events.append("given back")

    context = SimpleNamespace(
        get_memory_info=lambda: (memory.free, 2**40),
        memory_manager=SimpleNamespace(deallocations=SimpleNamespace(clear=clear)),
    )
    monkeypatch.setattr(cuda, "current_context", lambda: context)
    monkeypatch.setattr(network, "_RESERVED_SHARE", 0)
    monkeypatch.setattr(network, "_RESERVED_BYTES", 0)
    return memory


@pytest.fixture
def full_device(monkeypatch):
    """Nothing more can be sent to the device, whatever it says of its memory."""
    from numba import cuda
    from numba.cuda.cudadrv.driver import CudaAPIError

    def fail(*args, **kwargs):
        raise CudaAPIError(2, "Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY")

    monkeypatch.setattr(cuda, "to_device", fail)
