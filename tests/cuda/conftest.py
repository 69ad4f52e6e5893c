"""What the tests of the CUDA backend need: a GPU, or numba's simulator of one.

``NUMBA_ENABLE_CUDASIM=1 pytest tests/cuda`` runs them without a GPU.
"""

import pytest


@pytest.fixture(scope="session")
def gpu():
    """Skip unless kernels can run here."""
    from fastmlp.cuda.support import why_not

    if why_not():
        pytest.skip(why_not())


@pytest.fixture(scope="session")
def simulator(gpu):
    """Skip unless kernels are simulated."""
    from fastmlp.cuda.support import is_simulated

    if not is_simulated():
        pytest.skip("for the simulator: set NUMBA_ENABLE_CUDASIM=1")
