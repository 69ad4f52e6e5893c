"""What tells the rows of one training over shards from those of another.

A row counts by its number in the table, so that the rows may be read in any parts, by whomever:
what is found of the parts is added up.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..estimators.checkpoints import digest, parameters_of
from ..tabular.base import _SINGLE_NETWORK
from ..tabular.rows import names_of, numbers_of_columns
from ..training.checkpoint import Fingerprint
from .rows import splitmix64

_ROWS_AT_A_TIME = 4096  # whose words stay in a core's cache
_HALF = np.uint64(32)
_WAY = {"the way of training": "over shards"}


def sums_of_columns(first_row: int, tables: Sequence[NDArray[Any]]) -> NDArray[np.uint64]:
    """Add up each column of some rows, each row times a random odd factor of its own.

    It is multilinear hashing modulo 2**64: sums of parts add up to those of the whole, a value
    that differs changes the sum, and so do values in another order.

    Parameters
    ----------
    first_row : int
        Number of the first of the rows in the table, counted from 0.
    tables : sequence of ndarray of shape (n_rows, n_columns)
        Of float64, or of integers.

    Returns
    -------
    ndarray of uint64
        One sum for each column of all tables.
    """
    total = np.zeros(sum(table.shape[1] for table in tables), np.uint64)
    for start in range(0, len(tables[0]), _ROWS_AT_A_TIME):
        parts = [_words(table[start : start + _ROWS_AT_A_TIME]) for table in tables]
        rows = np.arange(len(parts[0]), dtype=np.uint64) + np.uint64(first_row + start)
        factors = splitmix64(rows) | np.uint64(1)
        total += np.concatenate([np.einsum("i,ij->j", factors, part) for part in parts])
    return total


def _words(values: NDArray[Any]) -> NDArray[np.uint64]:
    """Return values as words whose low bits depend on all bits of the values.

    Small whole numbers differ only in the high bits of their floats, which most bits of a factor
    would never reach.
    """
    is_float = values.dtype.kind == "f"
    words = values.view(np.uint64) if is_float else values.astype(np.uint64)
    mixed: NDArray[np.uint64] = words ^ (words >> _HALF)
    return mixed


def known_of_table(
    model: Any, found: Any, test_size: float, n_networks: int, n_shards: int
) -> Fingerprint:
    """Describe a training on a table as far as it is known before the rows are dealt.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
        Its preprocessor is fitted.
    found : Statistics
    test_size : float
    n_networks, n_shards : int

    Returns
    -------
    dict of str to str
    """
    names = [name for name in found.sample.columns if name != found.target]
    # Whoever trains has another default of these two.
    parameters = model.get_params(deep=False) | {"members": n_networks}
    if parameters["hidden_layer_sizes"] == "auto":
        parameters["hidden_layer_sizes"] = _SINGLE_NETWORK["hidden_layer_sizes"]
    described = parameters_of(type(model)(**parameters))
    del described["`effort`"]  # which decides on packs
    return {
        **_WAY,
        **described,
        "`test_size`": repr(float(test_size)),
        "the target": repr(found.target),
        **{f"the name of column {i}": repr(name) for i, name in enumerate(names, 1)},
        "the number of rows": str(found.n_rows),
        "the number of shards": str(n_shards),
        "the number of rows that columns are learned from": str(len(found.sample)),
    }


def of_table(dealer: Any, known: Fingerprint, sums: NDArray[np.uint64]) -> Fingerprint:
    """Describe a training on a table whose rows have been dealt.

    Parameters
    ----------
    dealer : Dealer
    known : dict of str to str
        From :func:`known_of_table`.
    sums : ndarray of uint64
        Those of :meth:`fastmlp.streaming.dealing.Dealer.sums` of all rows.

    Returns
    -------
    dict of str to str
    """
    preprocessor = dealer.model.preprocessor_
    numbers, words = numbers_of_columns(preprocessor), sums.tolist()
    text = names_of(preprocessor, "text")
    content: dict[Any, list[Any]] = {}
    for (_, name, _, _), word in zip(numbers, words, strict=False):
        content.setdefault(name, []).append(word)
    for name, levels, word in zip(text, preprocessor.levels_, words[len(numbers) :], strict=False):
        content[name] = [word, list(map(str, levels))]
    target = [words[-1], None if dealer.classes is None else dealer.classes.tolist()]
    learned = [
        np.asarray(value)
        for _, value in sorted(vars(preprocessor).items())
        if isinstance(value, np.ndarray)
    ]
    return {
        **known,
        **{f"the digest of column {name!r}": _hash(one) for name, one in content.items()},
        "the digest of the target": _hash(target),
        "the digest of what was learned of the columns": digest(learned),
    }


def of_arrays(
    network: Any,
    shape: tuple[int, int],
    dtype: Any,
    labels: NDArray[Any] | None,
    sums: NDArray[Any],
) -> Fingerprint:
    """Describe the training of a network on arrays.

    Parameters
    ----------
    network : BaseMLP
        Its `random_state` is a number.
    shape : tuple (n_rows, n_features)
    dtype : dtype
    labels : ndarray or None
        The class labels; None for a regression.
    sums : ndarray of uint64
        Those of the columns of X, and of y.

    Returns
    -------
    dict of str to str
    """
    *of_X, of_y = sums.tolist()
    return {
        **_WAY,
        **parameters_of(network),
        "the shape of X": str(shape),
        "the type of X": str(np.dtype(dtype)),
        "the digest of X": _hash(of_X),
        "the digest of y": _hash([of_y, None if labels is None else labels.tolist()]),
    }


def _hash(content: Iterable[Any]) -> str:
    return blake2b(repr(content).encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()
