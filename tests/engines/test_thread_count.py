"""The number of threads changes while a network is trained, and its results do not."""

import random
from itertools import pairwise

import numpy as np
import pytest
from helpers import AllThreads, choose_threads, fit_quietly, flat

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.engines.cpu import engine, thread_count
from fastmlp.engines.cpu.barrier_array import NO_END
from fastmlp.engines.cpu.thread_count import Job, ThreadCount, ladder, share_of

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 20))
Y = X[:, :4].argmax(axis=1)
OPTIONS = {"hidden_layer_sizes": (48, 40), "random_state": 0, "max_iter": 4, "tol": 0}
MOST = 5


class AtRandom:
    """Chooses any number of threads and of steps, and lets jobs end at any nap."""

    def __init__(self, most):
        self.draw, self.most, self.records = random.Random(0), most, []

    def next_job(self, most):
        steps = self.draw.choice([1, 2, 3, NO_END])
        patience = self.draw.choice([0, 3, NO_END])
        return Job(self.draw.randint(1, self.most), steps, patience)

    def record(self, *measured):
        self.records.append(measured)


FITS = {
    "grouped": lambda: MLPClassifier(batch_size=128, **OPTIONS),
    "in one group": lambda: MLPClassifier(batch_size=30, **OPTIONS),
    "limited": lambda: MLPClassifier(
        batch_size=30, clip_norm=0.1, max_norm=0.5, monitor=True, **OPTIONS
    ),
    "with dropout": lambda: MLPClassifier(batch_size=128, dropout=0.3, **OPTIONS),
    "of numbers": lambda: MLPRegressor(batch_size=64, solver="sgd", alpha=0.1, **OPTIONS),
    "stopped early": lambda: MLPClassifier(batch_size=30, early_stopping=True, **OPTIONS),
    "by L-BFGS": lambda: MLPClassifier(solver="lbfgs", **OPTIONS),
}


def without_times(model):
    """What a model has recorded of its epochs, such as the norms of gradients."""
    return {name: values for name, values in model.history_.items() if name != "seconds"}


@pytest.mark.parametrize("name", FITS)
@pytest.mark.parametrize(("dtype", "together"), [(np.float64, 1), (np.float32, 1), (np.float32, 2)])
def test_a_number_that_changes_at_random_changes_no_bit(name, dtype, together, monkeypatch):
    monkeypatch.setattr(engine, "_TEAM_MULTIPLY_ADDS", 0)
    monkeypatch.setattr(engine, "_MOST_TOGETHER", together)
    monkeypatch.setattr(engine, "_THREAD_PREDICTION", 1)
    monkeypatch.setattr(engine, "default_n_threads", lambda: 1)
    rows = X.astype(dtype)
    expected = fit_quietly(FITS[name](), rows, Y)
    monkeypatch.setattr(engine, "default_n_threads", lambda: MOST)
    choosers = []

    def chooser(most):
        choosers.append(AtRandom(most))
        return choosers[-1]

    choose_threads(monkeypatch, chooser)
    model = fit_quietly(FITS[name](), rows, Y)
    np.testing.assert_array_equal(flat(model), flat(expected))
    assert model.loss_curve_ == expected.loss_curve_
    assert without_times(model) == without_times(expected)
    assert len(choosers[0].records) >= 4 // together


@pytest.mark.parametrize("n_threads", [1, 2, 3, 4, 7, 16, 40])
@pytest.mark.parametrize("batch_size", [300, 130, 60])  # 4 groups, 2, and none
def test_more_threads_than_groups_of_rows_change_no_bit(n_threads, batch_size, monkeypatch):
    monkeypatch.setattr(engine, "_TEAM_MULTIPLY_ADDS", 0)
    choose_threads(monkeypatch, AllThreads)
    options = OPTIONS | {"hidden_layer_sizes": (40,), "max_iter": 2, "batch_size": batch_size}
    monkeypatch.setattr(engine, "default_n_threads", lambda: 1)
    expected = fit_quietly(MLPClassifier(**options), X, Y)
    monkeypatch.setattr(engine, "default_n_threads", lambda: n_threads)
    model = fit_quietly(MLPClassifier(**options), X, Y)
    np.testing.assert_array_equal(flat(model), flat(expected))


def test_a_job_that_ends_early_is_continued(monkeypatch):
    """Each thread that sleeps ends the job, and the next one takes the steps that are left."""
    monkeypatch.setattr(engine, "_TEAM_MULTIPLY_ADDS", 0)
    monkeypatch.setattr(engine, "_MOST_TOGETHER", 1)
    monkeypatch.setattr(engine, "default_n_threads", lambda: 2)
    expected = fit_quietly(MLPClassifier(batch_size=30, n_jobs=1, **OPTIONS), X, Y)

    class Impatient(AllThreads):
        steps = 0

        def __init__(self, most):
            self.job = Job(most, NO_END, -1)  # not a single nap is needed

        def record(self, n_steps, seconds, idle, is_early):
            Impatient.steps += n_steps
            assert n_steps == 1

    choose_threads(monkeypatch, Impatient)
    model = fit_quietly(MLPClassifier(batch_size=30, **OPTIONS), X, Y)
    np.testing.assert_array_equal(flat(model), flat(expected))
    assert Impatient.steps == 4 * 10


def test_fewer_processors_end_trials_and_lower_the_number():
    """Jobs that can have fewer threads than before are recorded, and more are tried again later."""
    count = ThreadCount([1, 2, 3, 4], 4)
    for most in [4] * 20 + [2] * 20 + [1] * 5:
        job = count.next_job(most)
        assert job.n_threads <= most
        count.record(10, 0.1, 0.0, False)
    assert count.n_threads == 1
    for _ in range(200):
        job = count.next_job(4)
        count.record(10, 0.1 / job.n_threads, 0.0, False)
    assert count.n_threads == 4


# ---- the choice --------------------------------------------------------------------------------


def test_the_numbers_that_are_tried():
    assert [ladder(most) for most in (1, 2, 3, 4, 8)] == [
        [1], [1, 2], [1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 4, 6, 8]
    ]  # fmt: skip
    for most in range(1, 130):
        counts = ladder(most)
        assert counts[0] == 1 and counts[-1] == most and counts == sorted(set(counts))
        assert all(b <= max(a + 1, 1.5 * a) for a, b in pairwise(counts))


class Machine:
    """Trains by a formula: seconds of a step, and the share in which a thread waits, by threads."""

    def __init__(self, count, step, idle=lambda n_threads: 0.0):
        self.count, self.step, self.idle = count, step, idle
        self.seconds = self.steps = 0

    def train(self, seconds, most_steps=200):
        """Run epochs of some steps; return how long a step took in the mean."""
        begun, steps = self.seconds, 0
        while self.seconds < begun + seconds:
            left = most_steps
            while left > 0:
                job = self.count.next_job(NO_END)
                n_steps = min(left, job.most_steps)
                took = n_steps * self.step(job.n_threads)
                self.seconds += took
                self.count.record(n_steps, took, took * self.idle(job.n_threads), False)
                left -= n_steps
                steps += n_steps
        return (self.seconds - begun) / steps


def new(most, first=None):
    return ThreadCount(ladder(most), first or most)


def test_threads_that_nothing_disturbs_are_left_alone():
    machine = Machine(new(2), lambda n_threads: 1e-4 / n_threads**0.8)
    best = 1e-4 / 2**0.8
    assert machine.train(0.2) == pytest.approx(best, rel=1e-9)  # no trial in a short fit
    assert machine.train(10) < 1.02 * best
    assert machine.count.n_threads == 2


@pytest.mark.parametrize("most", [2, 4, 8, 64])
def test_a_machine_on_which_one_thread_is_fastest(most):
    machine = Machine(new(most), lambda n_threads: 1e-4 * n_threads, lambda n_threads: 0.5)
    machine.train(20)
    assert machine.count.n_threads == 1
    assert machine.train(20) < 1.05 * 1e-4


@pytest.mark.parametrize("busy", [False, True])
def test_the_number_follows_the_load(busy):
    state = {"busy": busy}

    def step(n_threads):
        return 1e-3 * n_threads if state["busy"] else 1e-3 / n_threads

    def idle(n_threads):
        return 0.6 if state["busy"] and n_threads > 1 else 0.0

    machine = Machine(new(4), step, idle)
    for _ in range(3):
        machine.train(30)
        assert machine.count.n_threads == (1 if state["busy"] else 4)
        assert machine.train(10) < 1.05 * step(machine.count.n_threads)
        state["busy"] = not state["busy"]


def test_a_first_number_that_is_too_small_grows():
    machine = Machine(new(16, 2), lambda n_threads: 1e-4 / n_threads)
    machine.train(20)
    assert machine.count.n_threads == 16


@pytest.mark.parametrize("seed", range(5))
def test_noise_does_not_move_the_number_often(seed):
    draw = random.Random(seed)
    machine = Machine(
        new(2), lambda n_threads: 1e-3 * draw.uniform(0.5, 1.5), lambda n_threads: 0.3
    )
    chosen = []
    for _ in range(100):
        machine.train(0.2)
        chosen.append(machine.count.n_threads)
    assert sum(a != b for a, b in pairwise(chosen)) <= 10


def test_a_trial_of_long_steps_costs_little():
    """One step may take longer than a whole trial shall."""
    machine = Machine(new(2), lambda n_threads: 0.2 / n_threads, lambda n_threads: 0.0)
    assert machine.train(120, most_steps=10) < 1.06 * 0.1


def test_early_ends_become_rare_where_they_were_in_vain():
    count = new(2)
    patience = []
    for _ in range(20):
        job = count.next_job(NO_END)
        patience.append(job.patience)
        count.record(1, 1e-3, 0.0, True)
    assert patience == sorted(patience) and patience[-1] > 1000 * patience[0]


def test_a_next_fit_of_the_same_network_knows_what_the_last_one_has_learned(monkeypatch):
    monkeypatch.setattr(thread_count, "_kept", type(thread_count._kept)())
    first = thread_count.take_count("network", 4, lambda counts: 3)
    assert first.n_threads == 3
    beside = thread_count.take_count("network", 4, lambda counts: 3)
    assert beside is not first
    thread_count.keep_count("network", 4, first)
    assert thread_count.take_count("another", 4, lambda counts: 4) is not first
    assert thread_count.take_count("network", 2, lambda counts: 2) is not first
    assert thread_count.take_count("network", 4, lambda counts: 3) is first
    for number in range(40):
        thread_count.keep_count(number, 4, beside)
    assert len(thread_count._kept) == thread_count._MOST_KEPT
    monkeypatch.setattr(thread_count, "_KEPT_SECONDS", -1.0)
    assert thread_count.take_count(39, 4, lambda counts: 4) is not beside


def test_fits_that_run_at_once_share_the_processors(monkeypatch):
    monkeypatch.setattr(thread_count, "running", set())
    shares = []
    for fit in range(5):
        thread_count.running.add(fit)
        shares.append(share_of(8))
    assert shares == [NO_END, 4, 2, 2, 1]


def test_a_fit_counts_while_it_runs_an_epoch(monkeypatch):
    monkeypatch.setattr(engine, "_TEAM_MULTIPLY_ADDS", 0)
    monkeypatch.setattr(engine, "default_n_threads", lambda: 2)
    seen = []
    monkeypatch.setattr(engine, "share_of", lambda n: seen.append(len(engine.running)) or n)
    fit_quietly(MLPClassifier(**OPTIONS), X, Y)
    assert set(seen) == {1} and not engine.running
