"""Work in a thread beside the caller's: what comes next is made, or what was made is written."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, Queue
from typing import Any, TypeVar

from ..exceptions import collected_warnings, warn_user
from ..training.signals import WaitingSignals

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_END = object()


def read_ahead(items: Iterator[_Item]) -> Iterator[_Item]:
    """Let a thread make the next item of an iterator while the caller works on the last one.

    Two items wait at most. A generator is closed when the caller no longer wants any.
    Warnings of this package and errors come in the order of the items, in the caller's thread,
    which also makes the first item, since a pipe may be waited for there.

    Parameters
    ----------
    items : iterator
        It may not depend on what the caller does between two items.

    Yields
    ------
    item
    """
    made: Queue[tuple[Any, list[Warning], BaseException | None]] = Queue(maxsize=1)
    is_over = threading.Event()

    def make() -> None:
        try:
            while not is_over.is_set():
                item, error = _END, None
                with collected_warnings() as warnings:
                    try:
                        item = next(items, _END)
                    except BaseException as found:
                        error = found
                made.put((item, warnings, error))
                if item is _END:
                    return
        finally:
            if hasattr(items, "close"):
                items.close()

    try:
        first = next(items)
    except StopIteration:
        return
    thread = threading.Thread(target=make, name="fastmlp-read-ahead", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the system has no more threads
        yield first
        yield from items
        return
    try:
        yield first
        while True:
            item, warnings, error = made.get()
            for warning in warnings:
                warn_user(warning)
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        is_over.set()
        with suppress(Empty):  # so that the thread can put what it has in its hands
            made.get_nowait()
        thread.join()


def work_behind(work: Callable[[_Item], _Result], items: Iterator[_Item]) -> Iterator[_Result]:
    """Let a thread work on an item of an iterator while the next one is made.

    Parameters
    ----------
    work : callable
        It is called in one thread for all items, in their order.
    items : iterator

    Yields
    ------
    result
        What `work` returns for each item. That of the items before an error comes before it.
    """
    with ThreadPoolExecutor(1, "fastmlp-work-behind") as pool:
        last: Future[_Result] | None = None
        while True:
            try:
                item = next(items)
            except StopIteration:
                break
            except Exception:
                if last is not None:
                    yield last.result()
                raise
            try:
                with WaitingSignals():  # see its notes on locks
                    future = pool.submit(work, item)
            except RuntimeError:  # the system has no more threads
                future = Future()
                future.set_result(work(item))
            if last is not None:
                yield last.result()
            last = future
        if last is not None:
            yield last.result()
