"""The inputs of the levels of text: one for each level, or one for two levels."""

import numpy as np
from numpy.typing import NDArray


def level_table(codes: NDArray[np.intp], n_levels: int) -> NDArray[np.float32]:
    """Make the table of the inputs of each level of a column.

    Parameters
    ----------
    codes : ndarray of shape (n_rows,), int
        The level of each training row; ``n_levels`` is the group of rare levels.
    n_levels : int
        The number of levels that have inputs of their own.

    Returns
    -------
    ndarray of shape (n_levels + 1, n_inputs), float32
        The last row is that of rare and unknown levels. Two levels are -1 and 1 in a single
        input, and an unknown one is 0. More have an input each, which is 1 for its level and
        0 for all others; if no training row has a rare level, all inputs are 0 for unknown ones.
    """
    present = np.unique(codes)
    if len(present) == 2:
        table = np.zeros((n_levels + 1, 1), dtype=np.float32)
        table[present, 0] = -1, 1
        return table
    table = np.zeros((n_levels + 1, len(present)), dtype=np.float32)
    table[present, np.arange(len(present))] = 1
    return table
