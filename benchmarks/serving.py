"""``fastmlp serve`` beside a server as people write it: FastAPI, a pickle and scikit-learn.

Clients ask for single rows over loopback, from a process of their own that only copies bytes, one
request after the other on each connection. ``python -m benchmarks.serving`` writes the table.
"""

import asyncio
import json
import pickle
import subprocess
import sys
import tempfile
import time
import warnings
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

import fastmlp
from fastmlp.tools.bench import hardware

RESULTS = Path(__file__).parent / "results" / "serving.md"
N_ROWS, N_NUMBERS, LEVELS = 2000, 6, (9, 16, 7, 15, 6, 5, 2, 41)
UNITS = (128, 64)
SECONDS, CLIENTS = 3.0, (1, 16)

FASTAPI = """
import pickle
import pandas as pd
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, create_model

model = pickle.load(open({pickle!r}, "rb"))
Row = create_model("Row", **{{n: (float | None, ...) if n[0] == "x" else (str | None, ...)
                             for n in {names!r}}})

class Rows(BaseModel):
    rows: list[Row]

app = FastAPI()

@app.post("/predict")
def predict(body: Rows):
    frame = pd.DataFrame([row.model_dump() for row in body.rows])
    return {{"predictions": model.predict_proba(frame).tolist()}}

uvicorn.run(app, host="127.0.0.1", port={port}, log_level="warning")
"""


def table_of_rows():
    """A table with as many numbers and levels as adult."""
    rng = np.random.default_rng(0)
    columns = {f"x{i}": rng.normal(size=N_ROWS).round(4) for i in range(N_NUMBERS)}
    for i, n_levels in enumerate(LEVELS):
        columns[f"c{i}"] = rng.choice([f"level {k}" for k in range(n_levels)], N_ROWS)
    frame = pd.DataFrame(columns)
    y = np.where(frame["x0"] + frame["x1"] ** 2 + rng.normal(size=N_ROWS) > 1, "yes", "no")
    return frame, pd.Series(y, name="answer")


def pipeline():
    """The model of scikit-learn, with inputs like ours."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = [f"x{i}" for i in range(N_NUMBERS)]
    levels = [f"c{i}" for i in range(len(LEVELS))]
    columns = ColumnTransformer([
        ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), numbers),
        ("levels", OneHotEncoder(handle_unknown="ignore"), levels),
    ])  # fmt: skip
    return make_pipeline(columns, MLPClassifier(UNITS, max_iter=5, random_state=0))


async def ask(port, requests, n_clients, seconds):
    """Ask for single rows on some connections; the time of each request, in seconds."""
    end, times = time.perf_counter() + seconds, []

    async def client(number):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (began := time.perf_counter()) < end:
            writer.write(requests[(number + len(times)) % len(requests)])
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            times.append(time.perf_counter() - began)
        writer.close()

    await asyncio.gather(*map(client, range(n_clients)))
    return times


def cpu_seconds(process):
    """The CPU time of a process until now."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def measure(command, port, requests):
    """Rows of the table for a server."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                asyncio.run(ask(port, requests, 1, 0.5))
                break
            except OSError:
                time.sleep(0.1)
        found = []
        for n_clients in CLIENTS:
            before = cpu_seconds(process)
            times = asyncio.run(ask(port, requests, n_clients, SECONDS))
            used = cpu_seconds(process) - before
            p50, p99 = np.percentile(times, [50, 99]) * 1e3
            found.append((n_clients, p50, p99, len(times) / SECONDS, used / len(times) * 1e3))
        return found
    finally:
        process.terminate()
        process.wait()


def servers(folder):
    """The commands of all servers, by their names; each has a port."""
    frame, y = table_of_rows()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        single = fastmlp.TabularClassifier(hidden_layer_sizes=UNITS, max_iter=5).fit(frame, y)
        pack = fastmlp.TabularClassifier().fit(frame, y)
        theirs = pipeline().fit(frame, y)
    (folder / "model.pickle").write_bytes(pickle.dumps(theirs))
    n_members = len(pack.estimator_.members)
    found, port = {}, 18431
    for name, model in (("one network", single), (f"a pack of {n_members}", pack)):
        path = folder / f"m{port}.fastmlp"
        fastmlp.save_model(model, path)
        command = [sys.executable, "-m", "fastmlp_cli", "serve", str(path), "--port", str(port)]
        found[f"fastmlp serve, {name}"] = [*command, "--quiet"], port
        port += 1
    code = FASTAPI.format(pickle=str(folder / "model.pickle"), names=list(frame), port=port)
    (folder / "app.py").write_text(code)
    found["FastAPI, scikit-learn"] = [sys.executable, str(folder / "app.py")], port
    return found


def table(report):
    """Time in milliseconds, and requests a second."""
    some = table_of_rows()[0].head(200).to_dict("records")
    bodies = [json.dumps({"rows": [row]}).encode() for row in some]
    requests = [
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        for body in bodies
    ]
    rows = [["server", "clients", "p50 ms", "p99 ms", "requests/s", "CPU ms"]]
    with tempfile.TemporaryDirectory() as folder:
        for name, (command, port) in servers(Path(folder)).items():
            for n_clients, p50, p99, rate, cpu in measure(command, port, requests):
                row = [
                    name,
                    str(n_clients),
                    f"{p50:.2f}",
                    f"{p99:.2f}",
                    f"{rate:.0f}",
                    f"{cpu:.2f}",
                ]
                rows.append(row)
                report(str(row))
    return rows


def main():
    header, *rows = table(print)
    lines = ["| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *rows)]
    packages = ("starlette", "uvicorn", "fastapi", "scikit-learn", "pandas")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    RESULTS.write_text(
        "# Single rows over HTTP\n\n" + "\n".join(lines) + "\n\n"
        f"14 columns, 8 of them text; one process each, both with uvloop and httptools; loopback, "
        f"clients on the same machine. CPU is that of the server for one request.\n\n"
        f"{hardware()[0]}; {versions}; {date.today()}.\n"
    )


if __name__ == "__main__":
    main()
