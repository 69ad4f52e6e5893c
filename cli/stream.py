"""``fastmlp fit`` with ``--stream`` or ``--cluster``: training on a table in parts."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import UserError, about
from .options import called
from .terminal import is_terminal

_FORMAT = "{desc} {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}{postfix}]"


def fit_stream(
    data: Sequence[str],
    target: Sequence[str],
    cache: Path,
    quiet: bool,
    **options: Any,
) -> Any:
    """Train a network on files that are read in parts.

    Parameters
    ----------
    data : sequence of str
        The argument DATA.
    target : sequence of str
        At most one.
    cache : Path
        The folder of the shards.
    quiet : bool
    **options
        Those of :func:`fastmlp.train_files`.

    Returns
    -------
    TabularClassifier or TabularRegressor

    Raises
    ------
    UserError
        When the table cannot stream.
    """
    from fastmlp.streaming.fit import train_files

    _check("--stream", data, target)
    with about(Path(called(data))), _progress(quiet) as (told, callback):
        return train_files(
            list(data),
            *target,
            cache=os.fspath(cache),
            told=told,
            callback=callback,
            **options,
        )


def fit_cluster(
    data: Sequence[str],
    target: Sequence[str],
    address: str,
    quiet: bool,
    **options: Any,
) -> Any:
    """Train networks on files that the workers of a cluster read.

    Parameters
    ----------
    data : sequence of str
        The argument DATA.
    target : sequence of str
        At most one.
    address : str
        That of the scheduler.
    quiet : bool
    **options
        Those of :func:`fastmlp.cluster.tables.train_files_on_cluster`.

    Returns
    -------
    TabularClassifier or TabularRegressor

    Raises
    ------
    UserError
        When the table cannot be read by a cluster.
    """
    from fastmlp.cluster.tables import train_files_on_cluster

    _check("--cluster", data, target)
    with about(Path(called(data))), _progress(quiet) as (told, _):
        return train_files_on_cluster(list(data), address, *target, told=told, **options)


def _check(flag: str, data: Sequence[str], target: Sequence[str]) -> None:
    """Refuse a table that cannot be read in parts, and several targets."""
    if "-" in data:
        raise UserError(f"{flag} reads the table twice, so it has to be in files, and not in -")
    if len(target) > 1:
        raise UserError(f"{flag} trains for one target; name one --target")


@contextmanager
def _progress(quiet: bool) -> Iterator[tuple[Callable[[str, float], None] | None, Any]]:
    """Give functions that draw a bar for each pass over the bytes, and for each epoch."""
    if quiet or not is_terminal(sys.stderr):
        yield None, None
        return
    from tqdm import tqdm

    bar: Any = None

    def told(what: str, share: float) -> None:
        nonlocal bar
        if bar is None or bar.desc != what:
            if bar is not None:
                bar.close()
            bar = tqdm(total=1.0, desc=what, file=sys.stderr, bar_format=_FORMAT, leave=False)
        bar.update(share - bar.n)

    def callback(epoch: Any) -> None:
        score = "" if epoch.validation_score is None else f" {epoch.validation_score:.4f}"
        tqdm.write(
            f"epoch {epoch.epoch}: loss {epoch.loss:.4f}{score and ', validation'}{score}",
            file=sys.stderr,
        )

    try:
        yield told, callback
    finally:
        if bar is not None:
            bar.close()
