"""Gradients of a network's outputs with respect to its inputs, on the CPU."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import issparse

from ..engine import Matrix
from ..gradient_rules import numbers_of, rule_of
from . import layout as at
from . import packing
from .dispatch import gradient_calls
from .engine import prediction_threads
from .few_gradients import gradients_of_few
from .gradient_layout import gradient_layout
from .inputs import aligned, input_arrays
from .jobs import GRADIENTS, ORDER, describe, set_array
from .library import Entry
from .prediction import NetworkInPlace
from .threads import borrowed_team

# Long work is handed over in parts of about this many multiply-adds, so that Ctrl-C acts soon.
_PIECE_MULTIPLY_ADDS = 5_000_000_000
# So few numbers of inputs and gradients are copied to and from memory that is kept, which has
# weights as well, of a network with no more than so many parameters.
_FEW_NUMBERS, _FEW_PARAMETERS = 20_000, 1_000_000


def input_gradients(
    network: NetworkInPlace,
    arrays: Sequence[np.ndarray],
    X: Matrix,
    units: Sequence[int] | None,
    of_preactivations: bool,
    n_jobs: int | None = None,
    of_entries: bool = False,
) -> np.ndarray:
    """Compute the gradients of outputs with respect to inputs, for each row.

    Parameters
    ----------
    network, arrays, X, units, of_preactivations, n_jobs
        As for :func:`fastmlp.engines.devices.input_gradients`.
    of_entries : bool, default=False
        Whether only the entries of a sparse X, in compressed rows, have gradients.

    Returns
    -------
    ndarray of shape (n_rows, n_units, n_features), or (n_units, n_entries)
    """
    plan, (n_rows, n_features), is_sparse = network.plan, X.shape, issparse(X)
    wanted, rule = numbers_of(units), rule_of(plan, of_preactivations)
    work = (1 + wanted.size) * network.n_parameters
    n_threads = prediction_threads(plan.layer_units[0], work, X, n_jobs)
    n_numbers = n_rows * n_features * (1 + wanted.size)
    is_little = n_numbers <= _FEW_NUMBERS and network.n_parameters <= _FEW_PARAMETERS
    is_short = n_rows * work <= _PIECE_MULTIPLY_ADDS
    if n_threads == 1 and not is_sparse and is_little and is_short:
        found = gradients_of_few(network, arrays, X, wanted, rule)
        return found.reshape(n_rows, wanted.size, n_features)
    arena, tables = _arena(network, arrays, n_threads, is_sparse, of_entries)
    calls = gradient_calls(plan.activations, plan.loss, plan.dtype, is_sparse)
    inputs, order = input_arrays(X, plan.dtype), np.arange(n_rows)
    shape = (wanted.size, inputs[0].size) if of_entries else (n_rows, wanted.size * n_features)
    result = np.empty(shape, plan.dtype)
    # They are in the order of the numbers in jobs.py.
    rules = np.array([rule, of_entries], dtype=np.int64)
    described = *tables, calls, *inputs, order, result, wanted, rules
    job = describe(described)
    entry = Entry("differentiate", arena, job)
    multiple = n_threads * int(tables[1][at.BLOCK_ROWS])
    piece = max(1, _PIECE_MULTIPLY_ADDS // (work * multiple)) * multiple
    with borrowed_team() as team:
        for first in range(0, n_rows, piece):
            rows = slice(first, first + piece)
            set_array(job, ORDER, order[rows])
            if not of_entries:
                set_array(job, GRADIENTS, result[rows])
            team.run(
                entry, keeps=(arrays, described, job), n_threads=n_threads, may_be_fewer=True
            )  # fmt: skip
    return result if of_entries else result.reshape(n_rows, wanted.size, n_features)


def _arena(
    network: NetworkInPlace,
    arrays: Sequence[np.ndarray],
    n_threads: int,
    is_sparse: bool,
    of_entries: bool,
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Make an arena with the weights, and the layer table and the settings for it."""
    plan = network.plan
    key = plan.layer_units, plan.activations, plan.loss, plan.dtype, n_threads
    layout = gradient_layout(*key, not of_entries, is_sparse, of_entries)
    coefs, intercepts = arrays[: len(arrays) // 2], arrays[len(arrays) // 2 :]
    if of_entries:
        arena, tables = network.arena_in_place(arrays, layout, np.zeros)
    else:
        arena, tables = aligned(layout.size, plan.dtype), (layout.layers, layout.settings)
        packing.pack_layers(coefs, intercepts, arena, int(layout.settings[at.PARAMETERS]), layout)
    packing.transpose_layers(
        coefs[of_entries:], layout.layers[of_entries:], arena, int(layout.settings[at.PANEL])
    )
    return arena, tables
