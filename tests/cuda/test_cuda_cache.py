"""Kernels that were compiled for a GPU are there for the next process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from fastmlp.engines.cuda.support import is_simulated

if is_simulated():
    pytest.skip("the simulator compiles nothing", allow_module_level=True)

# Compiles as a launch would, for a GPU that is not here.
SCRIPT = """
import sys
from dataclasses import replace
from types import SimpleNamespace

from numba import cuda
from numba.cuda import codegen, compiler, dispatcher

device = SimpleNamespace(compute_capability=(9, 0))
for module in (compiler, dispatcher):
    module.get_current_device = lambda: device
codegen.CUDACodeLibrary._ensure_cc = lambda library, cc: cc or (9, 0, "a")
codegen.JITCUDACodegen.magic_tuple = lambda generator: ((13, 0), (9, 0))
dispatcher._Kernel.bind = lambda kernel: kernel._codelibrary.get_cubin()

import numpy as np
from test_cuda_compile import ordinary, signature, with_options

from fastmlp.engines.cuda.specialization import training_specialization
from fastmlp.engines.cuda.kernels import training_kernels

plan = {"ordinary": ordinary, "others": lambda: replace(ordinary(), clip_value=1.0),
        "custom": with_options}[sys.argv[1]]()
kernel = training_kernels(np.dtype(np.float32), training_specialization(plan))["train_weights"]
code = kernel.compile(signature("train_weights", "float32"))._codelibrary.get_cubin().code
print(sum(kernel.stats.cache_hits.values()), sum(kernel.stats.cache_misses.values()), len(code))
"""


def compile_kernel(folder, plan="ordinary", **environment):
    """Hits and misses of the cache in a new process, and the size of the code."""
    here = Path(__file__).parent
    paths = [str(here), str(here.parent), str(here.parent.parent), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ, "NUMBA_CACHE_DIR": str(folder), "PYTHONPATH": os.pathsep.join(paths),
        **environment,
    }  # fmt: skip
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT, plan], env=environment, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    return [int(number) for number in process.stdout.split()]


def test_the_next_process_finds_the_kernels(tmp_path):
    hits, misses, size = compile_kernel(tmp_path)
    assert (hits, misses) == (0, 1)
    assert compile_kernel(tmp_path) == [1, 0, size]
    # Another kernel of the same name.
    assert compile_kernel(tmp_path, "others")[:2] == [0, 1]
    assert compile_kernel(tmp_path, FASTMLP_CACHE="0")[:2] == [0, 1]
    assert compile_kernel(tmp_path, NUMBA_CUDA_DEBUGINFO="1")[:2] == [0, 1]
    for path in tmp_path.rglob("*.nbc"):
        path.write_bytes(path.read_bytes()[:100])
    assert compile_kernel(tmp_path) == [0, 1, size]


def test_kernels_with_a_custom_loss_are_not_kept(tmp_path):
    assert compile_kernel(tmp_path, "custom")[:2] == [0, 1]
    assert not list(tmp_path.rglob("*train_weights*"))
