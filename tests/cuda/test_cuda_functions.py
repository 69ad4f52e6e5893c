"""Single device functions, which are plain Python in the simulator; and how large they may be."""

import ast
from pathlib import Path

import numpy as np
import pytest

import fastmlp

FOLDER = Path(fastmlp.__file__).parent / "engines" / "cuda"
MOST_ARGUMENTS = 12
MOST_LINES = 80  # of a function, device functions that a factory encloses included

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")


@pytest.fixture
def network(simulator):
    """A network of 5, 9 and 3 units, with room for a batch of six rows."""
    from test_cuda_engine import problem

    from fastmlp.engines.cuda import layout as at
    from fastmlp.engines.cuda.arguments import Network

    plan, *_ = problem((5, 9, 3), batch_size=6)
    layout = at.device_layout(plan, plan.batch_size)
    arena = np.arange(layout.size, dtype=np.float32)
    return Network(arena, layout.layers, layout.settings, at.constants(plan))


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_functions_can_be_read(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            assert len(node.args.args) + len(node.args.kwonlyargs) <= MOST_ARGUMENTS, node.name
            assert node.end_lineno - node.lineno < MOST_LINES, node.name


def test_operands_forward_and_back(network):
    from fastmlp.engines.cuda import layout as at
    from fastmlp.engines.cuda.layers import operands

    first, last = network.layers
    forward = operands(network.layers, 1, False)
    assert forward == (first[at.OUTPUT], last[at.WEIGHTS], last[at.OUTPUT], 9, 3)
    back = operands(network.layers, 1, True)
    assert back == (last[at.DELTA], last[at.TRANSPOSED], first[at.DELTA], 3, 9)


def test_batches_of_an_epoch(network):
    from fastmlp.engines.cuda.arguments import batch_of_step, rows_of_step

    batches = [batch_of_step(network.settings, 15, step, 100) for step in range(3)]
    assert batches == [(0, 6, 600), (1, 6, 606), (2, 3, 612)]
    assert [rows_of_step(network.settings, 15, step) for step in range(3)] == [6, 6, 3]


@pytest.mark.parametrize("n_rows", [1, 2, 3, 4])
@pytest.mark.parametrize("n_features", [1, 4, 9])
def test_a_group_is_copied_by_all_its_threads(n_rows, n_features, simulator):
    from fastmlp.engines.cuda.row_pass import copy_group

    X = np.arange(1.0, 1.0 + 6 * n_features)
    rows = np.array([5, 0, 3, 1])[:n_rows]
    places = tuple(n_features * rows[np.minimum(range(4), n_rows - 1)])
    arena = np.full(4 * n_features + 8, np.nan)
    for member in range(2):
        copy_group(member, 2, arena, 4, X, places, n_features, n_rows)
    group = arena[4:-4].reshape(n_features, 4)
    np.testing.assert_array_equal(group[:, :n_rows], X.reshape(6, -1)[rows].T)
    assert (group[:, n_rows:] == 0).all()
    assert np.isnan(arena[:4]).all() and np.isnan(arena[-4:]).all()


def test_calls_without_a_loop(simulator):
    from fastmlp.engines.cuda.elements import four_times, load_apart, repeated, store_apart

    assert four_times(lambda i, x: x + i)(10) == (10, 11, 12, 13)
    assert repeated(lambda i, total, x: total * 10 + i + x, 3)(1, 0, 5) == 678
    array = np.zeros(8)
    store_apart(array, 1, 2, (3, 4, 5, 6))
    np.testing.assert_array_equal(array, [0, 3, 0, 4, 0, 5, 0, 6])
    assert load_apart(array, 1, 2) == (3, 4, 5, 6)


def test_tiles_by_their_numbers(simulator):
    from test_cuda_engine import problem

    from fastmlp.engines.cuda import layout as at
    from fastmlp.engines.cuda.weight_pass import TILE, _tile_at
    from fastmlp.engines.cuda.weight_update import has_bias, is_column, nearest_column

    plan, *_ = problem((TILE + 1, 2 * TILE + 3, 2))
    layout = at.device_layout(plan, plan.batch_size)
    tiles = [
        _tile_at(layout.layers, layout.settings, number, 0, 5)
        for number in range(layout.settings[at.N_TILES])
    ]
    corners = [(tile.layer, tile.top // TILE, tile.left // TILE) for tile in tiles]
    assert corners == [
        *((0, row, column) for row in range(2) for column in range(3)),
        *((1, row, 0) for row in range(3)),
    ]
    assert [tile.number for tile in tiles] == [*range(9)]
    # Of the last tile side by side the network has three columns, of the second layer's two.
    assert [is_column(tile) for tile in tiles] == [True, True, False] * 2 + [False] * 3
    assert [nearest_column(tile) for tile in tiles[:3]] == [5, TILE + 5, 2 * TILE + 2]
    assert [has_bias(tile) for tile in tiles] == [True, True, False] + [False] * 6
