"""How long a training step takes by count: its work, what travels between cores, and its barriers.

Threads share the rows of a batch, and then the blocks of the weights. More of them have less to do
each, but not for ever: rows and blocks are not divisible at will, each thread reads all weights
that the others have changed, and a barrier takes the longer the more threads meet there. From these
counts a fit takes its first number of threads; what it measures then decides.
"""

from math import ceil

from ...network.plan import TrainingPlan
from . import layout as at

# Of one core: multiply-adds and bytes in a nanosecond, where other cores have written the bytes.
_MULTIPLY_ADDS, _BYTES = 48.0, 10.0
# Nanoseconds of a barrier for each thread: they add to one number, one after the other.
_BARRIER = 40.0
# Nanoseconds of a step that one thread does alone.
_SERIAL = 1000.0
# More threads have to save more than this part of the time.
_ABOUT = 1.1


def step_nanoseconds(plan: TrainingPlan, layout: at.Layout, n_threads: int) -> float:
    """Estimate the time of a training step.

    Parameters
    ----------
    plan : TrainingPlan
    layout : Layout
        The layout of its training, for any number of threads.
    n_threads : int

    Returns
    -------
    float
        Nanoseconds, which are right to some tens of percent on a processor of 2023 with 512-bit
        vectors, in float32.
    """
    itemsize, settings = plan.dtype.itemsize, layout.settings
    panel, n_groups = int(settings[at.PANEL]), int(settings[at.N_GROUPS])
    sizes = layout.layers[:, at.FAN_IN] * layout.layers[:, at.OUT_WIDTH]
    weights, further = int(sizes.sum()), int(sizes[1:].sum())
    remote = 1 - 1 / n_threads
    most_blocks = ceil(layout.n_blocks / n_threads)
    scale = 8 / itemsize * _MULTIPLY_ADDS / 2  # half as many numbers of twice the size at a time

    block = plan.batch_size * weights / scale / layout.n_blocks
    # What crosses cores for the gradients of a thread's blocks: the deltas of their columns, and
    # the inputs of their rows, but for those of the first layer.
    deltas = min(int(layout.layers[:, at.OUT_WIDTH].sum()), most_blocks * panel)
    inputs = sum(plan.layer_units[1:-1]) / n_threads + panel
    columns = plan.batch_size * (deltas + inputs) * itemsize * remote / _BYTES
    if n_groups == 1:
        n_parts, sums, n_barriers = n_threads, most_blocks * block + columns, 2
    else:
        parameters = n_groups * weights * itemsize * remote / _BYTES / n_threads
        if n_threads <= n_groups:
            n_parts, n_barriers = n_groups, 2
            sums = ceil(n_groups / n_threads) * layout.n_blocks * block / n_groups + parameters
        else:
            n_parts, n_barriers = n_threads, 3
            items = ceil(n_groups * layout.n_blocks / n_threads)
            sums = (items * block + columns) / n_groups + parameters
    multiple = at.GROUP_MULTIPLE if n_parts == n_groups else at.ROW_MULTIPLE
    shares = ceil(ceil(plan.batch_size / multiple) / n_parts) * ceil(n_parts / n_threads)
    rows = min(plan.batch_size, shares * multiple) * (weights + further) / scale
    changed = (weights + further) * itemsize * remote / _BYTES
    barriers = n_barriers * _BARRIER * n_threads if n_threads > 1 else 0.0
    return rows + changed + sums + barriers + _SERIAL


def planned_threads(plan: TrainingPlan, layout: at.Layout, counts: list[int]) -> int:
    """Choose the fewest threads with which a step by count takes about the least time.

    Parameters
    ----------
    plan : TrainingPlan
    layout : Layout
        The layout of its training, for any number of threads.
    counts : list of int
        The numbers to choose from, in ascending order.

    Returns
    -------
    int
    """
    times = [step_nanoseconds(plan, layout, n_threads) for n_threads in counts]
    enough = _ABOUT * min(times)
    return next(count for count, time in zip(counts, times, strict=True) if time <= enough)
