"""What threads add up for each other, and how they share work."""

from .jit import compile_kernel

# Elements of the array of sums.
EPOCH_LOSS, GRADIENT_NORM = 0, 1  # both added up over the steps of an epoch
# Then one loss for each row of the batch; then, for each block of weights, the sum of squares, the
# sum of absolute values, and the sum of squares of its gradient.
N_SUMS = 8


@compile_kernel
def share(number, n_threads, total, multiple):
    """First and last of this thread's part of `total`, in whole multiples."""
    pieces = (total + multiple - 1) // multiple
    first = number * pieces // n_threads * multiple
    last = (number + 1) * pieces // n_threads * multiple
    return min(first, total), min(last, total)
