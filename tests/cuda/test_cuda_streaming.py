"""Data that do not fit the device's memory."""

from functools import partial

import numpy as np
import pytest
from test_cuda_engine import problem, scheduled

from fastmlp import MLPClassifier
from fastmlp.network.plan import Loss

pytestmark = pytest.mark.usefixtures("gpu")


@pytest.fixture
def little_memory(monkeypatch):
    """Room for the network and rows of two steps in each half, not for the data."""
    from numba import cuda

    from fastmlp.engines.cuda import engine, streaming

    chunks = []

    def not_empty(allocate):
        """The driver allocates no memory of zero bytes; the simulator does."""

        def allocated(shape, dtype):
            assert np.prod(shape) > 0
            return allocate(shape, dtype)

        return allocated

    class Counted(streaming.Chunks):
        def of_epoch(self, order):
            for first, rows in super().of_epoch(order):
                chunks.append(rows[-1].size)
                yield first, rows

    for name in ("pinned_array", "device_array"):
        monkeypatch.setattr(cuda, name, not_empty(getattr(cuda, name)))
    monkeypatch.setattr(engine, "has_room", lambda n_bytes: False)
    monkeypatch.setattr(engine, "Chunks", Counted)
    monkeypatch.setattr(
        engine, "rows_of_a_chunk", lambda plan, n_bytes, most_steps: 2 * plan.batch_size
    )
    return chunks


class LazyStreams:
    """Streams whose work is done as late as events allow, and in any order that they allow."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.queues = []
        self.done = set()

    def stream(self):
        queue = LazyStream(self)
        self.queues.append(queue)
        return queue

    def run_until(self, is_reached):
        while not is_reached():
            ready = [q for q in self.queues if q and q[0][0] <= self.done]
            queue = ready[self.rng.integers(len(ready))]
            _, work, mark = queue.pop(0)
            work()
            self.done.add(mark)


class LazyStream(list):
    """Work to do: marks that have to be done before, a callable, and its own mark."""

    def __init__(self, streams):
        self.streams = streams

    def __bool__(self):
        return len(self) > 0

    def add(self, work=lambda: None, after=()):
        mark = object()
        self.append((set(after), work, mark))
        return mark

    def synchronize(self):
        self.streams.run_until(lambda: not self)


class LazyEvent:
    def __init__(self, streams):
        self.streams, self.marks = streams, set()

    def record(self, stream):
        self.marks = {stream.add()}

    def wait(self, stream):
        stream.add(after=self.marks)

    def synchronize(self):
        self.streams.run_until(lambda: self.marks <= self.streams.done)


@pytest.fixture(params=range(4))
def lazy_streams(request, simulator, monkeypatch):
    """The simulator's copies and launches on streams wait until something waits for them."""
    from numba import cuda
    from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

    from fastmlp.engines.cuda.network import DeviceNetwork

    streams = LazyStreams(request.param)
    copy, launch = FakeCUDAArray.copy_to_device, DeviceNetwork._launch

    def copy_later(array, source, stream=0):
        if stream == 0:
            return copy(array, source)
        stream.add(partial(copy, array, source))

    def launch_later(network, *args, stream=0, **options):
        if stream == 0:
            return launch(network, *args, **options)
        stream.add(partial(launch, network, *args, **options))

    monkeypatch.setattr(FakeCUDAArray, "copy_to_device", copy_later)
    monkeypatch.setattr(DeviceNetwork, "_launch", launch_later)
    monkeypatch.setattr(cuda, "stream", streams.stream)
    monkeypatch.setattr(cuda, "event", lambda: LazyEvent(streams))


def trained(arguments, weight, n_epochs=2, **options):
    """Losses, parameters and state after some epochs in different orders."""
    from fastmlp.engines.cuda.engine import CudaEngine

    rng = np.random.default_rng(1)
    with scheduled(0):
        engine = CudaEngine(*arguments, weight, **options)
        n_rows = len(arguments[2])
        losses = [engine.run_epoch(rng.permutation(n_rows), 0.01) for _ in range(n_epochs)]
        norm = engine.gradient_norm or 0.0
        return np.concatenate([losses, engine.pull(), *engine.state()[1:], [norm]])


@pytest.mark.parametrize("is_cooperative", [False, True])
@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("n_rows", [4, 20, 21, 33])
def test_bitwise_as_if_all_were_on_the_device(n_rows, is_weighted, is_cooperative, request):
    arguments = problem((5, 9, 3), n_rows, batch_size=4)
    weight = np.linspace(0.5, 2, n_rows) if is_weighted else None
    expected = trained(arguments, weight, is_cooperative=is_cooperative)
    chunks = request.getfixturevalue("little_memory")
    np.testing.assert_array_equal(
        trained(arguments, weight, is_cooperative=is_cooperative), expected
    )
    assert chunks == [*[8] * (n_rows // 8), *([n_rows % 8] if n_rows % 8 else [])] * 2


@pytest.mark.parametrize("is_cooperative", [False, True])
def test_options_in_chunks(is_cooperative, request):
    arguments = problem(
        (5, 9, 3), 21, batch_size=4, dropout=(0.4,), seed=3, clip_norm=0.2, max_norm=1.0, l1=0.1
    )
    expected = trained(arguments, None, is_cooperative=is_cooperative)
    norm = expected[-1]
    chunks = request.getfixturevalue("little_memory")
    actual = trained(arguments, None, is_cooperative=is_cooperative)
    np.testing.assert_array_equal(actual, expected)
    assert norm > 0 and chunks == [8, 8, 5] * 2


def test_nothing_is_overwritten_while_in_use(lazy_streams, request):
    arguments = problem((5, 9, 3), 50, batch_size=4)
    expected = trained(arguments, np.linspace(0.5, 2, 50), n_epochs=3)
    request.getfixturevalue("little_memory")
    actual = trained(arguments, np.linspace(0.5, 2, 50), n_epochs=3)
    np.testing.assert_array_equal(actual, expected)


def test_other_types_of_data(little_memory):
    plan, theta, X, Y = problem(loss=Loss.BINARY_CROSS_ENTROPY)
    expected = trained((plan, theta, X, Y), None)
    actual = trained((plan, theta, np.asfortranarray(X.astype(np.float64)), Y.astype(bool)), None)
    np.testing.assert_array_equal(actual, expected)


def test_size_of_chunks(monkeypatch):
    from fastmlp.engines.cuda import streaming

    plan, *_ = problem(units=(5, 9, 3), batch_size=10)
    step = streaming.bytes_of_a_step(plan)
    assert step == 2 * 10 * (4 * (5 + 3 + 1) + 8)
    rows = [streaming.rows_of_a_chunk(plan, n * step, 8) for n in (1, 1.9, 3, 8, 20)]
    assert rows == [10, 10, 30, 80, 80]
    monkeypatch.setattr(streaming, "_CHUNK_BYTES", step)
    assert streaming.rows_of_a_chunk(plan, 20 * step, 8) == 20


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_by_the_memory_that_is_free(monkeypatch, device_memory, simulator):
    from fastmlp.engines.cuda import engine
    from fastmlp.exceptions import DeviceError

    X = np.random.default_rng(0).normal(size=(100, 50)).astype(np.float32)
    y = X[:, 0] > 0
    model = MLPClassifier((3,), batch_size=4, max_iter=1, random_state=0, device="cuda")
    seen = []
    chunks = engine.Chunks
    monkeypatch.setattr(engine, "Chunks", lambda *args: seen.append(args[-1]) or chunks(*args))

    def fit(n_bytes):
        device_memory.free = n_bytes
        with scheduled(0):
            return model.fit(X, y).coefs_[0]

    expected = fit(10**6)
    assert not seen
    np.testing.assert_array_equal(fit(12_000), expected)
    assert len(seen) == 1 and 4 <= seen[0] < 100 and seen[0] % 4 == 0
    with pytest.raises(DeviceError, match="the network and its batches need"):
        fit(5_000)
