"""The simulation of clusters: what follows from its assumptions alone."""

import pytest


def test_a_simulated_ring_is_bounded_by_workers_networks_and_scheduler(checkout):
    from benchmarks.cluster import Costs, simulate

    free = Costs(visit=1.0, serial=0.0, chain=0.0, moved=0.0)
    assert simulate(1, 8, 16, 2, free) == pytest.approx(8 * 16 * 2)
    assert simulate(16, 1, 16, 2, free) == pytest.approx(16 * 2)
    assert 8 * 16 * 2 / 8 <= simulate(8, 8, 16, 2, free) < 8 * 16 * 2 / 2
    assert simulate(4, 8, 16, 2, free, n_processors=1) == pytest.approx(8 * 16 * 2)
    slow = free._replace(visit=0.001, serial=1.0)
    assert simulate(64, 8, 16, 2, slow) >= 8 * 16 * 2
    assert simulate(16, 1, 16, 1, free._replace(moved=0.5)) == pytest.approx(16 * 1.5)
