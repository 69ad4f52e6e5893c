"""What threads add up for each other, and how they share work."""

from .jit import compile_kernel

# Elements of the vector of sums: two that are added up over the steps of an epoch.
EPOCH_LOSS, GRADIENT_NORM = 0, 1
# From this element on there is one loss for each row of the batch. Then come the sums of squares
# of all blocks of weights, their sums of absolute values, and the sums of squares of their
# gradients.
N_SUMS = 8


@compile_kernel
def share(number, n_threads, total, multiple):
    """One thread's part of some work.

    Parameters
    ----------
    number, n_threads : int
        The thread, and how many there are.
    total : int
        Pieces of work.
    multiple : int
        Parts begin at multiples of this number.

    Returns
    -------
    first, last : int
        The part begins with piece `first` and ends before `last`.
    """
    pieces = (total + multiple - 1) // multiple
    first = number * pieces // n_threads * multiple
    last = (number + 1) * pieces // n_threads * multiple
    return min(first, total), min(last, total)
