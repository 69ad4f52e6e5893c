"""The array by which the threads of a team wait for each other.

This module imports no compiler: the kernel that waits is in :mod:`fastmlp.engines.cpu.barrier`.
"""

import numpy as np

# Elements of the array. What many threads write lies on cache lines of its own.
# The number of arrivals of threads, or of pieces of work that they have taken; it is negative when
# the team is told to give up. Threads sleep on its lower half, as a futex.
ARRIVALS = 0
SLEEPERS = 8  # the number of threads that sleep at the moment
NAPS = 16  # how often a thread has gone to sleep in this job
# How often a thread looks whether the others have arrived before it goes to sleep. Threads lower it
# where that was in vain, and raise it where it was not.
SPINS = 24
# Threads only read these, but for the last one, which is seldom written.
PATIENCE = 32  # the number of naps after which a job may end early
NAP_SECONDS, NAP_NANOSECONDS = 33, 34  # a thread that sleeps so long looks for itself
END = 35  # the number of rows after which a job ends early; 0 for none
BARRIER_SIZE = 40

# How often a thread looks whether the others have arrived before it goes to sleep, at most and at
# least: some 25 us, and less than one. One wait in so many looks as often as it may.
MOST_SPINS, LEAST_SPINS = 100_000, 500
WAITS_PER_TRY = 64
# So much patience has a job that must not end early.
NO_END = 2**62

# Far below zero, and with a lower half that no number of arrivals in one job has, so that a thread
# that is about to sleep on what it has seen before does not.
_GIVE_UP = -(2**62) + 2**31
# A thread that is told to give up while it sleeps finds out after this time.
_NAP_NANOSECONDS = 20_000_000


def new_barrier() -> np.ndarray:
    """Make the array of a team.

    Returns
    -------
    ndarray of shape (BARRIER_SIZE,), int64
    """
    return np.zeros(BARRIER_SIZE, dtype=np.int64)


def prepare(barrier: np.ndarray, patience: int) -> None:
    """Make the array ready for a job, before any thread begins it.

    Parameters
    ----------
    barrier : ndarray of shape (BARRIER_SIZE,), int64
        Modified in place.
    patience : int
        The number of naps after which a job may end early.
    """
    barrier[:] = 0
    barrier[SPINS], barrier[PATIENCE] = MOST_SPINS, patience
    barrier[NAP_NANOSECONDS] = _NAP_NANOSECONDS


def give_up(barrier: np.ndarray) -> None:
    """Tell the team to give up: each thread leaves at its next barrier, or when its nap ends.

    Parameters
    ----------
    barrier : ndarray of shape (BARRIER_SIZE,), int64
        Modified in place.
    """
    barrier[ARRIVALS] = _GIVE_UP
