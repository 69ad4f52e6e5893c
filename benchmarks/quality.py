"""Compare models on real tables: ``python -m benchmarks.quality FOLDER``."""

import importlib.util
import json
import os
import subprocess
import sys
import zlib
from datetime import date
from pathlib import Path

import click

from . import quality_report
from .quality_data import digest, find_tables
from .quality_fit import OURS
from .quality_peers import PEERS

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "quality.md"
MODELS = [*OURS, *PEERS]


def sources():
    """A digest of fastmlp's own sources: results of others are named in the report."""
    value = 0
    for path in sorted((ROOT / "fastmlp").rglob("*.py")):
        value = zlib.crc32(path.read_bytes(), value)
    return f"{value:08x}"


class Cache:
    """One JSON file for each model, table, seed and number of rows."""

    def __init__(self, folder, most_rows):
        self.folder, self.most_rows = Path(folder), most_rows

    def path(self, label, table, seed):
        return self.folder / label / f"{table.name}-{digest(table)}-{self.most_rows}-{seed}.json"

    def get(self, label, table, seed):
        path = self.path(label, table, seed)
        return json.loads(path.read_text()) if path.exists() else None

    def put(self, label, table, seed, result):
        path = self.path(label, table, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(result, indent=1))
        part.replace(path)


def run_job(job, python, timeout):
    """The result of a fresh process; one that dies or takes too long is a failure."""
    threads = str(job["threads"])
    names = ("OMP", "OPENBLAS", "MKL", "NUMBA")
    environment = os.environ | {f"{name}_NUM_THREADS": threads for name in names}
    command = [python, "-W", "ignore", "-m", "benchmarks.quality_fit", json.dumps(job)]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"took longer than {timeout} s"}
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [""]
        return {"failed": f"the process ended with {done.returncode}: {lines[-1][:300]}"}
    return json.loads(done.stdout.splitlines()[-1])


def is_installed(package, python):
    """Whether the Python of the peers has a package."""
    if python == sys.executable:
        return importlib.util.find_spec(package) is not None
    code = f"import importlib.util as u, sys; sys.exit(u.find_spec({package!r}) is None)"
    return subprocess.run([python, "-c", code], check=False).returncode == 0


class Runner:
    """Brings results from the cache, or else from processes."""

    def __init__(self, cache, *, threads, timeout, peer_python, again, label, parameters, say):
        self.cache, self.threads, self.timeout = cache, threads, timeout
        self.peer_python, self.again, self.say = peer_python, set(again), say
        self.label, self.parameters = label, parameters
        self.version = sources()
        self._installed = {}

    def label_of(self, model):
        return self.label if model == "fastmlp" else model

    def can_run(self, model):
        needs = None if model in OURS else PEERS[model][1]
        if needs not in self._installed:
            self._installed[needs] = needs is None or is_installed(needs, self.peer_python)
        return self._installed[needs]

    def result(self, model, table, seed):
        """From the cache or a new process; None where the model cannot be run here."""
        label = self.label_of(model)
        found = self.cache.get(label, table, seed)
        if found is not None and model not in self.again:
            return found
        if not self.can_run(model):
            return None
        is_peer = model in PEERS and PEERS[model][1] is not None
        job = {
            "model": model,
            "table": table.name,
            "path": str(table.path.resolve()),
            "target": table.target,
            "task": table.task,
            "seed": seed,
            "most_rows": self.cache.most_rows,
            "threads": self.threads,
            "parameters": self.parameters if model == "fastmlp" else {},
        }
        result = run_job(job, self.peer_python if is_peer else sys.executable, self.timeout)
        result |= {"threads": self.threads, "date": str(date.today())}
        if model in OURS:
            result |= {"sources": self.version, "parameters": job["parameters"]}
        self.cache.put(label, table, seed, result)
        told = result.get("failed") or f"{result['error']:.4f} in {result['seconds']:.1f} s"
        self.say(f"{table.name} {seed} {label}: {told}")
        return result


def chosen_tables(folder, names, last_look):
    """The tables of the folder that are asked for, in the order of their size."""
    tables = find_tables(folder)
    if unknown := set(names) - set(tables):
        raise click.UsageError(f"{folder} has no table {', '.join(sorted(unknown))}")
    chosen = [tables[n] for n in names] or [t for t in tables.values() if last_look or not t.kept]
    return sorted(chosen, key=lambda table: table.path.stat().st_size)


def split_list(context, option, text):
    return [part for part in (text or "").replace(",", " ").split() if part]


def models_of(context, option, text):
    names = split_list(context, option, text)
    if unknown := [name for name in names if name not in MODELS]:
        raise click.BadParameter(f"{', '.join(unknown)}: the models are {', '.join(MODELS)}")
    return names


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False))
@click.option(
    "--models", default=",".join(MODELS), callback=models_of, help="Names, by commas; all."
)
@click.option("--seeds", default="0", callback=split_list, help="Seeds of the splits, by commas.")
@click.option("--most-rows", default=10_000, show_default=True, help="Rows to learn from, at most.")
@click.option("--tables", callback=split_list, help="Names, by commas; all but those kept.")
@click.option("--last-look", is_flag=True, help="Also the tables that are kept for the last look.")
@click.option("--results", default=RESULTS, type=click.Path(), help="The report's file.")
@click.option("--cache", "folder", default=".quality-cache", type=click.Path(), show_default=True)
@click.option("--peer-python", default=sys.executable, help="Python of the peers' environment.")
@click.option("--threads", default=2, show_default=True)
@click.option("--timeout", default=3600.0, show_default=True, help="Seconds for one model.")
@click.option("--again", callback=models_of, help="Models whose cached results are replaced.")
@click.option("--label", default="fastmlp", help="Name under which fastmlp's results are kept.")
@click.option("--with", "also", callback=split_list, help="Further names of kept results.")
@click.option("--parameters", default="{}", help="Parameters of fastmlp's estimators, as JSON.")
@click.option("--subject", help="The model that is compared with each; fastmlp's by default.")
@click.option("--cached", is_flag=True, help="Fit nothing: report what the cache has.")
def main(folders, models, seeds, most_rows, tables, last_look, results, folder, **options):
    """Compare models on the tables in FOLDERS, and write a report."""
    cache = Cache(folder, most_rows)
    subject, also, only_cached = (options.pop(n) for n in ("subject", "also", "cached"))
    parameters = json.loads(options.pop("parameters"))
    if parameters and options["label"] == "fastmlp":
        raise click.UsageError("with --parameters give a --label of its own")
    runner = Runner(
        cache, parameters=parameters, say=lambda line: click.echo(line, err=True), **options
    )
    if only_cached:
        runner.can_run = lambda model: False
    chosen = [t for each in folders for t in chosen_tables(each, tables, last_look)]
    found = {}
    for table in chosen:
        for seed in map(int, seeds):
            for model in models:
                key = (runner.label_of(model), table.name, seed)
                found[key] = runner.result(model, table, seed)
            for label in also:
                found[label, table.name, seed] = cache.get(label, table, seed)
    labels = [*dict.fromkeys([*(runner.label_of(m) for m in models), *also])]
    found = {key: value for key, value in found.items() if value is not None}
    text = quality_report.report(
        found, labels, subject or labels[0], most_rows=most_rows, sources=runner.version
    )
    Path(results).write_text(text)
    click.echo(text.split("\n## Errors")[0])


if __name__ == "__main__":
    main()
