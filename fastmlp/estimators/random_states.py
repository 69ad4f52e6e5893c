"""Generators of random numbers, made of a seed as scikit-learn makes them."""

from numbers import Integral
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from sklearn.utils import check_random_state


class _NoEntropy(ISeedSequence):
    """What a bit generator begins with that is seeded right afterwards.

    numpy mixes entropy of the system into 624 words instead, which takes as long as two epochs of a
    small network.
    """

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> np.ndarray:
        """Return words of zeros."""
        return np.zeros(n_words, dtype)

    def __reduce__(self) -> tuple[Any, ...]:
        return np.random.SeedSequence, (0,)  # so that pickles know numpy's class alone


def random_state_of(seed: int | np.random.RandomState | None) -> np.random.RandomState:
    """Return the generator of a seed, as :func:`sklearn.utils.check_random_state` does.

    Parameters
    ----------
    seed : int, numpy.random.RandomState or None

    Returns
    -------
    numpy.random.RandomState

    Raises
    ------
    ValueError
        When the seed is none.
    """
    if not isinstance(seed, Integral):
        return check_random_state(seed)
    result = np.random.RandomState(np.random.MT19937(_NoEntropy()))
    result.seed(seed)
    return result
