"""Work in threads: what is read ahead, and what becomes of what was made."""

import threading
import warnings

import pytest

from fastmlp.exceptions import collected_warnings, warn_user
from fastmlp.tabular.ahead import read_ahead, work_behind


def alive():
    return [
        t.name for t in threading.enumerate() if t.name.startswith(("fastmlp-read", "fastmlp-work"))
    ]


def numbers(count, seen=(), error=None):
    """Yield numbers with a warning each; note in which thread, and that it has been closed."""
    try:
        for i in range(count):
            seen.append((i, threading.current_thread()))
            warn_user(f"number {i}")
            yield i
        if error is not None:
            raise error
    finally:
        seen.append(("closed", threading.current_thread()))


@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_items_and_warnings_come_in_their_order(count):
    seen, found = [], []
    items = read_ahead(numbers(count, seen))
    with collected_warnings() as caught:
        for i in items:
            found.append(i)
            assert [str(w) for w in caught] == [f"number {i}" for i in range(len(found))]
    assert found == list(range(count)) and [i for i, _ in seen] == [*found, "closed"]
    assert all(thread is threading.main_thread() for i, thread in seen if i == 0)
    assert all(thread is not threading.main_thread() for i, thread in seen if i in range(1, 100))
    assert not alive()


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt()])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_an_error_comes_behind_the_items_before_it(error, count):
    seen, found = [], []
    with collected_warnings(), pytest.raises(type(error)) as raised:
        found.extend(read_ahead(numbers(count, seen, error)))
    assert raised.value is error and found == list(range(count)) and not alive()
    assert seen[-1][0] == "closed"


def test_who_wants_no_more_items_ends_the_thread():
    seen = []
    items = read_ahead(numbers(1000, seen))
    with collected_warnings():
        assert next(items) == 0 and next(items) == 1
        items.close()
    assert not alive() and seen[-1][0] == "closed" and len(seen) < 8
    seen.clear()
    with collected_warnings(), pytest.raises(KeyboardInterrupt):
        for i in read_ahead(numbers(1000, seen)):
            if i == 2:
                raise KeyboardInterrupt
    assert not alive() and seen[-1][0] == "closed" and len(seen) < 8


def test_a_system_without_threads(monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert list(read_ahead(numbers(3, []))) == [0, 1, 2]
        assert len(caught) == 3
        assert list(work_behind(str, iter(range(3)))) == ["0", "1", "2"]


def test_results_come_in_the_order_of_the_items():
    threads = set()

    def work(i):
        threads.add(threading.current_thread())
        return i * i

    assert list(work_behind(work, iter(range(50)))) == [i * i for i in range(50)]
    assert list(work_behind(work, iter(()))) == [] and len(threads) == 1 and not alive()


def test_results_before_an_error_are_not_lost():
    def items():
        yield from (1, 2)
        raise ValueError("broken")

    found = []
    with pytest.raises(ValueError, match="broken"):
        found.extend(work_behind(str, items()))
    assert found == ["1", "2"] and not alive()

    def work(i):
        if i == 1:
            raise OSError("full")
        return i

    made = []
    with pytest.raises(OSError, match="full"):
        for _ in work_behind(work, (made.append(i) or i for i in range(100))):
            pass
    assert len(made) < 5 and not alive()
