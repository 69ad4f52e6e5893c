"""Threads that wait for each other fall asleep, and wake: for the others, or to give up."""

import sys
import threading

import numpy as np
import pytest

from fastmlp.engines.cpu import barrier_array as at
from fastmlp.engines.cpu.barrier import end_early, is_last, wait
from fastmlp.engines.cpu.jit import compile_entry
from fastmlp.engines.cpu.threads import Team

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="no thread sleeps on other systems")


@compile_entry
def arrive(barrier, generation, n_threads):
    return wait(barrier, generation, n_threads)


@compile_entry
def begin_step(barrier, end):
    end_early(barrier, end)


@compile_entry
def ends_after(barrier, end):
    return is_last(barrier, end)


@compile_entry
def take_turns(number, n_threads, barrier, turns, seen):
    """Write one number a turn each, and check what all the others have written."""
    wrong = 0
    for turn in range(turns):
        seen[number] = turn
        if not wait(barrier, 2 * turn + 1, n_threads):
            return -1
        for other in range(n_threads):
            wrong += seen[other] != turn
        if not wait(barrier, 2 * turn + 2, n_threads):
            return -1
    return wrong


def wait_until(barrier, sleepers):
    """Let others run until so many threads sleep; a test hangs where they never do."""
    pause = threading.Event()
    while barrier[at.SLEEPERS] < sleepers:
        pause.wait(0.001)


@linux_only
@pytest.mark.parametrize("n_threads", [2, 3, 5])
def test_the_last_one_wakes_those_that_sleep(n_threads):
    left = []

    def work(number, n_threads, barrier):
        if number == 1:  # it comes when all the others sleep
            wait_until(barrier, n_threads - 1)
        left.append(arrive(barrier, 1, n_threads))

    with Team(n_threads) as team:
        for _ in range(3):
            team.run(work)
            assert team.barrier[at.SLEEPERS] == 0
            assert team.barrier[at.NAPS] == n_threads - 1
    assert left == [True] * (3 * n_threads)


@linux_only
@pytest.mark.parametrize("failing", [0, 1])
@pytest.mark.parametrize("n_threads", [2, 4])
def test_sleepers_wake_and_leave_when_another_thread_fails(n_threads, failing):
    left = []

    def work(number, n_threads, barrier):
        if number == failing:
            wait_until(barrier, n_threads - 1)
            raise ArithmeticError
        left.append(arrive(barrier, 1, n_threads))

    with Team(n_threads) as team:
        with pytest.raises(ArithmeticError):
            team.run(work)
        assert left == [False] * (n_threads - 1)
        team.run(lambda number, n_threads, barrier: left.append(arrive(barrier, 1, n_threads)))
    assert left[n_threads - 1 :] == [True] * n_threads


def test_nobody_waits_for_a_team_that_gave_up():
    barrier = at.new_barrier()
    at.prepare(barrier, at.NO_END)
    at.give_up(barrier)
    for generation in range(1, 4):
        assert not arrive(barrier, generation, 2)


@pytest.mark.parametrize("spins", [0, at.MOST_SPINS])
@pytest.mark.parametrize("n_threads", [2, 3])
def test_no_thread_runs_ahead(n_threads, spins, monkeypatch):
    monkeypatch.setattr(at, "MOST_SPINS", spins)  # what a job begins with
    seen, wrong = np.zeros(n_threads, np.int64), []
    with Team(n_threads) as team:
        team.run(lambda *args: wrong.append(take_turns(*args, 3000, seen)))
    assert wrong == [0] * n_threads


def test_several_teams_at_once():
    wrong = []

    def use_a_team():
        seen = np.zeros(2, np.int64)
        with Team(2) as team:
            for _ in range(3):
                team.run(lambda *args: wrong.append(take_turns(*args, 300, seen)))

    threads = [threading.Thread(target=use_a_team) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [0] * 24


def test_a_job_ends_after_the_same_step_for_all():
    barrier = at.new_barrier()
    at.prepare(barrier, 2)
    begin_step(barrier, 10)
    assert not ends_after(barrier, 10)
    barrier[at.NAPS] = 3
    begin_step(barrier, 20)
    # Whoever is slow sees this only after another thread has begun the second step.
    assert not ends_after(barrier, 10)
    assert ends_after(barrier, 20)
    begin_step(barrier, 30)
    assert barrier[at.END] == 20
