"""What becomes of a row follows from its number and the seed alone, wherever it is read."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


class Purpose(IntEnum):
    """What is decided of a row; each is drawn apart."""

    TEST = 0
    VALIDATION = 1
    SHARD = 2
    SAMPLE = 3


def splitmix64(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix the bits of numbers (Steele, Lea and Flood, 2014).

    Parameters
    ----------
    numbers : ndarray of uint64

    Returns
    -------
    ndarray of uint64
        Each result belongs to one number, and all its bits look random.
    """
    mixed = numbers + _GOLDEN  # arrays wrap round without a word
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    return mixed ^ (mixed >> np.uint64(31))


def drawn(first: int, count: int, seed: int, purpose: Purpose) -> NDArray[np.uint64]:
    """Draw a random number for each of some rows that follow each other.

    Parameters
    ----------
    first : int
        Number of the first row in the table, counted from 0.
    count : int
    seed : int
    purpose : Purpose

    Returns
    -------
    ndarray of shape (count,), uint64
    """
    rows = np.arange(first, first + count, dtype=np.uint64)
    key = splitmix64(np.array([seed * len(Purpose) + purpose], dtype=np.uint64))
    return splitmix64(splitmix64(rows) ^ key)


def are_within(drawn: NDArray[np.uint64], share: float) -> NDArray[np.bool_]:
    """Tell which rows are of a share of all, such as 0.2, by what was drawn for them."""
    return (drawn >> np.uint64(11)) < np.uint64(round(share * 2.0**53))
