"""The shares of work of each thread."""

from .jit import compile_kernel


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
