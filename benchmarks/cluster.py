"""Visits a second on clusters, measured here and simulated for many machines.

``python -m benchmarks.cluster`` starts workers on this machine, lets networks circulate over shards
of random rows, and writes ``benchmarks/results/cluster.md``. The simulation's model and what it
assumes are in :func:`simulate`; it is compared with what was measured.
"""

import heapq
import os
import time
import warnings
from datetime import date
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np

RESULTS = Path(__file__).parent / "results" / "cluster.md"
N_SHARDS, N_NETWORKS, N_INPUTS, HIDDEN = 16, 8, 50, (128, 64)
WORKERS = 1, 2, 4
SIMULATED = 8, 16, 32, 64, 128, 256
BANDWIDTH, LATENCY = 1.25e9, 5e-4  # bytes a second, and seconds, of a network of 10 Gbit/s


class Costs(NamedTuple):
    """What a visit costs, in seconds.

    Parameters
    ----------
    visit : float
        A pass over a shard, in a worker.
    serial : float
        What the scheduler and the client do for a visit, one after the other.
    chain : float
        From the end of a visit to the beginning of the next one of the same network, beside that.
    moved : float
        To send a network to another worker.
    """

    visit: float
    serial: float
    chain: float
    moved: float


def simulate(n_workers, n_networks, n_shards, n_epochs, costs, n_processors=None):
    """Simulate a ring, and return the seconds that it takes.

    Every shard lies on one worker, dealt evenly, and a visit runs there: networks move and shards
    do not. A worker makes one visit at a time, in the order in which networks arrive. The scheduler
    and the client are one queue, through which each visit goes once. Networks move at the same
    time, since switches are not the limit. No worker is slower than another, and none is lost.

    Parameters
    ----------
    n_workers, n_networks, n_shards, n_epochs : int
    costs : Costs
    n_processors : int or None
        What all workers share; None gives each one of its own.
    """
    rng = np.random.default_rng(0)
    owner = np.arange(n_shards) % n_workers
    free_worker = np.zeros(n_workers)
    processors = [0.0] * (n_processors or n_workers)
    free_scheduler, end = 0.0, 0.0
    left = {m: [] for m in range(n_networks)}
    epochs = dict.fromkeys(left, 0)
    place = dict.fromkeys(left, -1)
    events = [(0.0, m) for m in left]
    while events:
        now, m = heapq.heappop(events)
        if not left[m]:
            if epochs[m] == n_epochs:
                end = max(end, now)
                continue
            epochs[m] += 1
            left[m] = rng.permutation(n_shards).tolist()
        worker = owner[left[m].pop()]
        free_scheduler = max(free_scheduler, now) + costs.serial
        ready = free_scheduler + (costs.moved if place[m] != worker else 0.0)
        place[m] = worker
        begin = max(ready, free_worker[worker], heapq.heappop(processors))
        free_worker[worker] = begin + costs.visit
        heapq.heappush(processors, free_worker[worker])
        heapq.heappush(events, (free_worker[worker] + costs.chain, m))
    return end


def _shard(number, n_rows):
    """Random rows of a shard."""
    from fastmlp.engines.engine import Data

    rng = np.random.default_rng(number)
    X = rng.normal(size=(n_rows, N_INPUTS)).astype(np.float32)
    return Data(X, (X[:, :1] * X[:, 1:2]).astype(np.float32))


def _networks(n_networks, n_epochs):
    from fastmlp import MLPRegressor
    from fastmlp.streaming.bags import seeds_of
    from fastmlp.streaming.training import begin

    seeds = seeds_of(0, n_networks)
    options = {"hidden_layer_sizes": HIDDEN, "max_iter": n_epochs, "batch_size": 200}
    options["n_iter_no_change"] = n_epochs
    return [begin(MLPRegressor(**options), N_INPUTS, np.zeros(2), seed) for seed in seeds], seeds


def bytes_received(dask_worker):
    """Count the bytes that a worker got from others."""
    return sum(entry["total"] for entry in dask_worker.transfer_incoming_log)


def ring_seconds(client, n_networks, n_epochs, n_rows):
    """Let networks circulate; return the seconds and the bytes that workers got from each other."""
    from fastmlp.cluster.ring import Ring
    from fastmlp.streaming.keeping import KeptCourses

    shards = [client.submit(_shard, i, n_rows, pure=False) for i in range(N_SHARDS)]
    client.gather([client.submit(len, shard, pure=False) for shard in shards])
    before = sum(client.run(bytes_received).values())
    began = time.perf_counter()
    Ring(client, *_networks(n_networks, n_epochs), shards, None, None, KeptCourses()).train()
    seconds = time.perf_counter() - began
    return seconds, sum(client.run(bytes_received).values()) - before


def visit_seconds(n_rows):
    """Measure a visit in this process, by one thread: the median of seven."""
    from fastmlp.network import weights
    from fastmlp.streaming.visits import Position, visit

    (streamed,), _ = _networks(1, 1)
    network, shard = streamed.network, _shard(0, n_rows)
    theta = weights.flatten(network.coefs_, network.intercepts_, np.float32)
    position, taken = Position(theta), []
    for i in range(8):
        began = time.perf_counter()
        position = visit(shard, streamed.plan, position, [i], 0.001, n_jobs=1).position
        taken.append(time.perf_counter() - began)
    return float(np.median(taken[1:])), theta.size


def measure(n_rows, n_epochs):
    """Measure clusters here.

    Returns
    -------
    costs : Costs
    n_parameters : int
    measured : dict of int to tuple
        By the number of workers, seconds and bytes of `n_epochs` of all networks.
    """
    from distributed import Client, LocalCluster

    visit, n_parameters = visit_seconds(n_rows)
    measured = {}
    for n_workers in WORKERS:
        with (
            LocalCluster(
                n_workers=n_workers, threads_per_worker=1, dashboard_address=":0"
            ) as cluster,
            Client(cluster) as client,
        ):
            ring_seconds(client, N_NETWORKS, 1, 10)  # imports, and code that is loaded
            if n_workers == 1:
                small, _ = visit_seconds(10)
                alone, _ = ring_seconds(client, 1, 4, 10)
                together, _ = ring_seconds(client, N_NETWORKS, 4, 10)
                serial = max(0.0, together / (4 * N_NETWORKS * N_SHARDS) - small)
                chain = max(0.0, alone / (4 * N_SHARDS) - small - serial)
            measured[n_workers] = ring_seconds(client, N_NETWORKS, n_epochs, n_rows)
    moved = LATENCY + 12 * n_parameters / BANDWIDTH
    return Costs(visit, serial, chain, moved), n_parameters, measured


def report(costs, n_parameters, measured, n_rows, n_epochs):
    """Write the tables."""
    visits = N_NETWORKS * N_SHARDS * n_epochs
    n_processors = len(os.sched_getaffinity(0))
    lines = [
        "| workers here | visits/s | efficiency | simulated | MB moved a visit |",
        "|---|---|---|---|---|",
    ]
    one = visits / measured[1][0]
    for n_workers, (seconds, moved) in measured.items():
        # On one machine networks move through its memory.
        here = costs._replace(moved=LATENCY)
        modelled = simulate(n_workers, N_NETWORKS, N_SHARDS, n_epochs, here, n_processors)
        rate = visits / seconds
        lines.append(
            f"| {n_workers} | {rate:.1f} | {rate / one / min(n_workers, n_processors):.2f} | "
            f"{visits / modelled:.1f} | {moved / visits / 1e6:.2f} |"
        )
    lines += [
        "",
        "| workers, simulated | networks | shards | visits/s | speed-up | efficiency |",
        "|---|---|---|---|---|---|",
    ]
    for n_workers in SIMULATED:
        for n_networks in sorted({N_NETWORKS, n_workers, 2 * n_workers}):
            n_shards = max(N_SHARDS, 2 * n_workers)
            seconds = simulate(n_workers, n_networks, n_shards, 4, costs)
            rate = n_networks * n_shards * 4 / seconds
            speed = rate * costs.visit
            lines.append(
                f"| {n_workers} | {n_networks} | {n_shards} | {rate:.0f} | {speed:.1f} | "
                f"{speed / min(n_workers, n_networks):.2f} |"
            )
    lines += [
        "",
        f"A visit is {n_rows} rows of {N_INPUTS} inputs by a network of {HIDDEN[0]} and "
        f"{HIDDEN[1]} units ({n_parameters} parameters, {12 * n_parameters / 1e3:.0f} kB with "
        f"the optimiser's vectors): {costs.visit * 1e3:.0f} ms by one thread. Scheduler and "
        f"client take {costs.serial * 1e3:.1f} ms a visit, and {costs.chain * 1e3:.1f} ms more "
        "pass from one visit of a network to its next. Simulated machines are joined by "
        f"{BANDWIDTH / 1.25e8:.0f} Gbit/s with a latency of {LATENCY * 1e3:.1f} ms. Speed-ups "
        "are over visits one after the other in one process; efficiency is that by the workers "
        "or networks, whichever are fewer, and here the rate over that of one worker, by the "
        f"workers or the {n_processors} processors, whichever are fewer.",
    ]
    return "\n".join(lines)


@click.command()
@click.option("--rows", default=80_000, show_default=True, help="Rows of a shard.")
@click.option("--epochs", default=1, show_default=True)
@click.option("--output", type=Path, default=RESULTS)
def main(rows, epochs, output):
    """Measure rings on this machine, and simulate larger ones."""
    from fastmlp.tools.bench import hardware

    warnings.simplefilter("ignore")
    found = measure(rows, epochs)
    text = report(*found, rows, epochs)
    first, second = hardware()
    output.write_text(f"# Visits on clusters\n\n{first}; {second}; {date.today()}.\n\n{text}\n")
    click.echo(text)


if __name__ == "__main__":
    main()
