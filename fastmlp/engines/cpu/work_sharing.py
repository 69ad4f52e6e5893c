"""The sums that threads pass to each other, and the shares of work of each thread."""

from .jit import compile_kernel

# Columns of the matrix with what is added up over the steps of each epoch.
EPOCH_LOSS, GRADIENT_NORM = 0, 1
N_RESULTS = 2
# From this element of the vector of sums on there is one loss for each row of the batch. After
# these there are three numbers for each block of weights: first the sums of squares of all blocks,
# then their sums of absolute values, and then the sums of squares of their gradients.
N_SUMS = 8


@compile_kernel
def share(number, n_threads, total, multiple):
    """Compute one thread's part of some work.

    Parameters
    ----------
    number, n_threads : int
        The number of this thread, and the number of threads.
    total : int
        The number of pieces of work.
    multiple : int
        Each part begins at a multiple of this number.

    Returns
    -------
    first, last : int
        The part has the pieces from `first` on, up to the one before `last`.
    """
    pieces = (total + multiple - 1) // multiple
    first = number * pieces // n_threads * multiple
    last = (number + 1) * pieces // n_threads * multiple
    return min(first, total), min(last, total)
