"""A process that is forked beside busy threads can predict, fit and compile."""

import os
import subprocess
import sys
import threading

import pytest

from fastmlp.engines import forks

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")

# What the scripts below have in common: a model, and a child with a watchdog.
START = """
import faulthandler, os, signal, sys, threading, time, warnings
import numpy as np
from fastmlp import MLPClassifier, MLPRegressor

warnings.simplefilter("ignore")
X = np.linspace(-1, 1, 80).reshape(40, 2)
y = X[:, 0] * X[:, 1] > 0

def fit():
    return MLPClassifier((5,), max_iter=2, random_state=0, diagnose=False, n_jobs=1).fit(X, y)

def fit_custom(scale):
    loss = (lambda y, p: scale * (p - y) ** 2, lambda y, p: 2 * scale * (p - y))
    model = MLPRegressor(loss=loss, hidden_layer_sizes=(3,), max_iter=1, random_state=0,
                         diagnose=False, n_jobs=1)
    return model.fit(X, X[:, 0]).predict(X[:3])

def child_ends_well(work):
    pid = os.fork()
    if pid == 0:
        # A thread of C's that ends the process, whatever lock Python waits for.
        faulthandler.dump_traceback_later(90, exit=True)
        try:
            os._exit(0 if work() else 3)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(4)
    return os.waitpid(pid, 0)[1] == 0
"""


def run(code, cache=None):
    environment = {**os.environ} | ({"NUMBA_CACHE_DIR": str(cache)} if cache else {})
    return subprocess.run(
        [sys.executable, "-c", START + code], capture_output=True, text=True, env=environment
    )


# A thread has a lock when the process forks. It keeps the lock until the fork is done, or for a
# second where the fork waits for it.
HELD = """
model = fit()
expected = model.predict_proba(X)

from fastmlp.engines import custom_functions
from fastmlp.engines.cpu import thread_count
from llvmlite.binding.ffi import lib
from numba.core.compiler_lock import global_compiler_lock

lock = {"llvm": lib._lock, "numba": global_compiler_lock, "losses": custom_functions._lock,
        "counts": thread_count._lock}[NAME]
has_lock, forked = threading.Event(), threading.Event()
os.register_at_fork(after_in_parent=forked.set)

def hold():
    with lock:
        has_lock.set()
        forked.wait(1)

thread = threading.Thread(target=hold)
thread.start()
has_lock.wait()

def work():
    same = np.array_equal(model.predict_proba(X), expected)
    return same and fit().loss_ == model.loss_ and np.isfinite(fit_custom(2.0)).all()

assert child_ends_well(work)
thread.join()
assert work()
"""


@pytest.mark.parametrize("name", ["llvm", "numba", "losses", "counts"])
def test_a_fork_waits_until_nobody_has_a_lock(name):
    result = run(f"NAME = {name!r}\n{HELD}")
    assert result.returncode == 0, result.stderr


def test_a_fork_waits_until_the_engine_is_imported(tmp_path):
    """A thread is in the middle of the first import of the engine when the process forks."""
    result = run("""
in_import, forked = threading.Event(), threading.Event()
os.register_at_fork(after_in_parent=forked.set)

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "fastmlp.engines.cpu.dispatch" and not in_import.is_set():
            in_import.set()
            forked.wait(1)

sys.meta_path.insert(0, Finder())
fits = []
thread = threading.Thread(target=lambda: fits.append(fit()))
thread.start()
in_import.wait()
assert child_ends_well(lambda: fit().n_iter_ == 2)
thread.join()
assert fits[0].n_iter_ == 2
""")
    assert result.returncode == 0, result.stderr


def test_a_fork_waits_until_nobody_reads_an_epoch():
    """A callback forks while another thread reads what the estimator is during that callback."""
    result = run("""
from fastmlp.estimators import fitting
reading, forked = threading.Event(), threading.Event()
os.register_at_fork(after_in_parent=forked.set)
read_only = fitting._read_only

def slowly_read_only(theta):
    if threading.current_thread() is not threading.main_thread():
        reading.set()
        forked.wait(1)
    return read_only(theta)

def callback(epoch):
    thread = threading.Thread(target=lambda: model.coefs_)
    thread.start()
    reading.wait()
    assert child_ends_well(lambda: len(model.coefs_) == 2)
    thread.join()
    return True

fitting._read_only = slowly_read_only
model = MLPClassifier((5,), max_iter=2, random_state=0, diagnose=False, n_jobs=1)
assert model.fit(X, y, callback=callback).n_iter_ == 1
""")
    assert result.returncode == 0, result.stderr


STRESS = """
import random
model = fit()
expected = model.predict_proba(X)
stop = False
count = iter(range(10**9))
jobs = {
    "predict": lambda: model.predict_proba(X),
    "fit": fit,
    "compile": lambda: fit_custom(float(next(count))),
}

def repeat(job):
    while not stop:
        job()

threads = [threading.Thread(target=repeat, args=(jobs[name],), daemon=True) for name in NAMES]
for thread in threads:
    thread.start()
draw = random.Random(0)

def work():
    same = np.array_equal(model.predict_proba(X), expected) and fit().loss_ == model.loss_
    return same and (NAMES[0] != "compile" or np.isfinite(fit_custom(-1.0)).all())

for _ in range(N):
    time.sleep(draw.random() * 0.01)
    assert child_ends_well(work)
stop = True
for thread in threads:
    thread.join()
"""


@pytest.mark.parametrize(
    ("names", "n_forks"),
    [(("predict",) * 3, 15), (("fit", "fit", "predict"), 10), (("compile", "predict"), 2)],
)
def test_children_forked_beside_busy_threads(names, n_forks):
    result = run(f"NAMES, N = {names}, {n_forks}\n{STRESS}")
    assert result.returncode == 0, result.stderr


def test_a_pool_forked_beside_predicting_threads():
    result = run("""
import multiprocessing
model = fit()
expected = model.predict_proba(X)
stop = False

def serve():
    while not stop:
        model.predict_proba(X)

threads = [threading.Thread(target=serve, daemon=True) for _ in range(3)]
for thread in threads:
    thread.start()
faulthandler.dump_traceback_later(120, exit=True)
with multiprocessing.get_context("fork").Pool(2) as pool:
    for result in pool.map(model.predict_proba, [X] * 4):
        assert np.array_equal(result, expected)
stop = True
for thread in threads:
    thread.join()
""")
    assert result.returncode == 0, result.stderr


def test_locks_are_taken_from_the_outermost_to_the_innermost(monkeypatch):
    taken = []

    class Lock:
        def __init__(self, name):
            self.name = name

        def acquire(self):
            taken.append(self.name)

        def release(self):
            taken.append(f"no {self.name}")

    monkeypatch.setattr(forks, "_locks", [])
    forks.hold_at_fork(Lock("compiler"), Lock("llvm"), innermost=True)
    forks.hold_at_fork(Lock("losses"))
    forks._take()
    forks._give_back()
    assert taken == ["losses", "compiler", "llvm", "no llvm", "no compiler", "no losses"]


def test_after_an_interrupt_only_what_was_taken_is_given_back(monkeypatch):
    first, second = threading.Lock(), threading.Lock()

    class Interrupted:
        def acquire(self):
            raise KeyboardInterrupt

    monkeypatch.setattr(forks, "_locks", [first, Interrupted(), second])
    with pytest.raises(KeyboardInterrupt):
        forks._take()
    assert first.locked() and not second.locked()
    forks._give_back()
    assert not first.locked()
