"""The command ``serve``: its process, its signals and its messages."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from fastmlp_cli.main import main
from served import fitted, httpx, rows_of

from fastmlp import MLPClassifier, TabularRegressor, save_model

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@contextlib.contextmanager
def command(*args, **variables):
    """Run the command at a free port; the value is its process, and what it has printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fastmlp_cli", "serve", *map(str, args), "--port", "0", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **variables},
    )  # fmt: skip
    try:
        lines = iter(process.stdout.readline, "}\n")
        yield process, json.loads("".join(lines) + "}")
    finally:
        if process.poll() is None:
            process.kill()
        process.stdout.close()
        process.stderr.close()
        process.wait()


@pytest.fixture(scope="module")
def file(classifier, tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "m.fastmlp"
    save_model(classifier, path)
    return path


def until(found):
    """Wait until something holds."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(httpx.HTTPError):
            if found():
                return
        time.sleep(0.05)
    raise AssertionError("it did not come")


def test_a_signal_ends_it_when_it_has_finished_what_it_accepted(file, classifier, frame):
    with command(file) as (process, said):
        assert said["model"] == "m" and said["pid"] == process.pid
        url = httpx.URL(said["address"])
        body = json.dumps({"rows": rows_of(frame.head(1))}).encode()
        with socket.create_connection((url.host, url.port)) as slow:
            slow.sendall(
                b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n" % len(body) + body[:5]
            )
            until(lambda: httpx.get(f"{url}/v2/health/ready").status_code == 200)
            process.send_signal(signal.SIGTERM)

            def is_closed():
                try:
                    socket.create_connection((url.host, url.port)).close()
                except ConnectionRefusedError:
                    return True
                return False

            until(is_closed)
            slow.sendall(body[5:])
            answer = b""
            while part := slow.recv(10_000):
                answer += part
        head, _, found = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        share = json.loads(found)["predictions"][0]["probability_large"]
        assert np.float32(share) == classifier.predict_proba(frame.head(1))[0, 0]
        assert process.wait(30) == 0
        lines = process.stderr.read().splitlines()
        assert any("POST /predict 200 1 row" in line for line in lines)


def test_the_file_is_loaded_again_if_it_is_a_model(file, classifier, frame, tmp_path):
    path = tmp_path / "served.fastmlp"
    save_model(classifier, path)
    with command(path, "--name", "my model") as (process, said):
        described = f"{said['address']}/v2/models/my%20model"

        def output():
            return httpx.get(described).json()["outputs"][0]["name"]

        assert output() == "kind"
        y = frame["size"].fillna(0).rename("worth")
        save_model(fitted(TabularRegressor, frame, y), path)
        process.send_signal(signal.SIGHUP)
        until(lambda: output() == "worth")
        path.write_bytes(b"no model")
        process.send_signal(signal.SIGHUP)
        said_so = ""
        while "stays as it was" not in said_so:
            said_so = process.stderr.readline()
        assert "served.fastmlp" in said_so
        assert output() == "worth"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_workers_are_started_again(file, frame):
    with command(file, "--workers", 2, "--quiet", FASTMLP_TOKEN="t0ken") as (process, said):
        headers = {"Authorization": "Bearer t0ken"}
        body = {"rows": rows_of(frame.head(1))}

        def is_answered():
            """Wait for as long as a process takes to begin: what is given up is counted, too."""
            answer = httpx.post(
                f"{said['address']}/predict", json=body, headers=headers, timeout=60
            )
            return answer.status_code == 200

        until(is_answered)
        assert httpx.get(f"{said['address']}/v2").status_code == 401
        children = workers_of(process.pid)
        assert len(children) == 2
        os.kill(children[0], signal.SIGKILL)
        until(lambda: len(set(workers_of(process.pid)) - set(children)) == 1)
        until(is_answered)

        def counted():
            """All workers answer with the sum of all, also of one that has ended."""
            metrics = httpx.get(f"{said['address']}/metrics", headers=headers)
            return int(re.search(r"^fastmlp_predicted_rows_total (\d+)$", metrics.text, re.M)[1])

        assert {counted() for _ in range(10)} == {2}
        children = workers_of(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert not any(os.path.exists(f"/proc/{child}") for child in children)
        assert "a worker has ended" in process.stderr.read()


def test_workers_end_when_their_parent_was_killed(file):
    with command(file, "--workers", 2, "--quiet") as (process, said):
        url = httpx.URL(said["address"])
        until(lambda: httpx.get(f"{url}/v2/health/ready", timeout=60).status_code == 200)
        process.kill()

        def none_listens():
            try:
                socket.create_connection((url.host, url.port)).close()
            except ConnectionRefusedError:
                return True
            return False

        until(none_listens)
        # Its end is read when the last worker has closed it.
        assert "the process that started this worker has ended" in process.stderr.read()


def workers_of(parent):
    """The numbers of the processes that serve, which a process has started."""
    if not os.path.exists("/proc"):
        pytest.skip("the processes of a process are read from /proc")
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            process = Path("/proc", name)
            is_child = int((process / "stat").read_text().rpartition(")")[2].split()[1]) == parent
            if is_child and "spawn_main" in (process / "cmdline").read_text():
                found.append(int(name))
        except OSError:  # it has just ended
            pass
    return sorted(found)


def fails(*args):
    result = CliRunner().invoke(main, ["serve", *map(str, args)])
    assert result.exit_code == 2, result.output
    lines = result.stderr.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_mistakes(file, tmp_path, monkeypatch):
    assert "no such file" in fails(tmp_path / "none.fastmlp").lower()
    bare = fitted(MLPClassifier, np.eye(4), [0, 1, 0, 1])
    save_model(bare, tmp_path / "bare.fastmlp")
    assert "holds a bare MLPClassifier" in fails(tmp_path / "bare.fastmlp")
    assert "--name" in fails(file, "--name", "a/b")
    (tmp_path / "token").write_text("\n")
    assert "token" in fails(file, "--token-file", tmp_path / "token")
    assert "choose one" in fails(file, "--token-file", tmp_path / "token", "--token", "x")
    monkeypatch.setenv("FASTMLP_TOKEN", "a b")
    assert "FASTMLP_TOKEN" in fails(file)
    monkeypatch.delenv("FASTMLP_TOKEN")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"127.0.0.1, port {port}" in fails(file, "--port", port)
    assert "cannot be served" in fails(file, "--host", "256.1.1.1")


def test_whoever_reaches_another_host_is_let_in_with_a_warning(file, monkeypatch):
    monkeypatch.setattr("fastmlp.serving.server.serve", lambda *arguments: None)
    for token, n_warnings in ([], 1), (["--token", "x"], 0):
        result = CliRunner().invoke(
            main, ["serve", str(file), "--host", "0.0.0.0", "--port", "0", *token]
        )
        assert result.exit_code == 0, result.output
        assert result.stderr.count("--token-file asks for a token") == n_warnings
