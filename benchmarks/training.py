"""A training step beside those of peers, each in a process of its own."""

from contextlib import ExitStack
from functools import partial

from fastmlp.tools.bench import CASES, measure, training_header, training_row

from .apart import Apart
from .peers import available_peers


def start(peer, case, dtype):
    """Return the run of a peer, by the names of the peer and of the case."""
    (found,) = (c for c in CASES if c.name == case)
    return available_peers()[peer](found, dtype)


def _apart(stack, peer, case, dtype):
    """Return a run that another process makes, until the stack is closed."""
    return stack.enter_context(Apart(start, peer, case.name, dtype)).run


def table(report, dtype, names=None):
    """Measure cases, all by default, with all peers that are installed.

    Each peer has a process, which sleeps while others are measured: idle threads of BLAS, OpenMP
    and XLA would take time from whatever else their process runs.
    """
    rows = [training_header(list(available_peers()))]
    for case in CASES:
        if names and case.name not in names:
            continue
        with ExitStack() as stack:
            peers = {name: partial(_apart, stack, name) for name in available_peers()}
            rows.append(training_row(case, *measure(case, dtype, peers, report)))
    return rows
