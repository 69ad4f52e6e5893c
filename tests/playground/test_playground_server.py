"""The server of the playground over HTTP, without a browser."""

import gzip
import io
import json
import re
import socket
import sys
import zipfile
from dataclasses import replace

import pytest
from click.testing import CliRunner
from fastmlp_cli.main import main
from pages import serving

from fastmlp.playground.app import LIMITS

httpx = pytest.importorskip("httpx", reason="httpx is not installed")


@pytest.fixture(scope="module")
def served():
    with serving() as found:
        yield found


@pytest.fixture(scope="module")
def client(served):
    with httpx.Client(base_url=served[0], timeout=30) as opened:
        yield opened


def test_the_page_and_its_files(client):
    page = client.get("/")
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    script = client.get("/static/main.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert script.headers["x-content-type-options"] == "nosniff"
    # Nothing of the page comes from elsewhere.
    for name in ("", "static/style.css", "static/main.js", "static/network.js"):
        text = client.get(f"/{name}").text.replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text and "https://" not in text


@pytest.mark.parametrize(
    "path",
    ["/static/", "/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/app.py",
     "/static//etc/passwd", "/api/sessions"],
)  # fmt: skip
def test_no_other_file_is_there(client, path):
    assert client.get(path).status_code in (404, 405)


def test_a_session(client, served):
    opened = client.post("/api/sessions", json={"kind": "xor", "hidden": [2], "noise": 0}).json()
    at = f"/api/sessions/{opened['session']}"
    assert opened["frame"]["epoch"] == 0 and len(opened["places"]) == 200
    frame = client.post(f"{at}/run", json={"epochs": 5, "known": 0}).json()
    assert frame["n_epochs"] == len(frame["losses"]) >= 1
    back = client.post(f"{at}/show", json={"epoch": 0, "known": 5}).json()
    assert back["epoch"] == 0 and back["weights"] == opened["frame"]["weights"]
    assert "MLPClassifier(" in client.post(f"{at}/code", json={"epoch": 5}).json()["python"]
    told = client.post(f"{at}/point", json={"epoch": 5, "place": [0.5, 1]}).json()
    assert told["inputs"] == [0.5, 1.0]
    lines = client.post(f"{at}/table", json={}).json()["csv"].splitlines()
    assert lines[0] == "x1,x2,y" and len(lines) == 201
    thread = served[1].find(opened["session"]).training
    assert thread.is_alive
    assert client.post(f"{at}/end", json={}).status_code == 200
    assert not thread.is_alive
    assert client.post(f"{at}/run", json={"epochs": 5, "known": 0}).status_code == 404


def test_two_sessions_know_nothing_of_each_other(client):
    keys = [client.post("/api/sessions", json={"seed": seed}).json()["session"] for seed in (0, 1)]
    assert keys[0] != keys[1]
    run = {"epochs": 1, "known": 0}
    frames = [client.post(f"/api/sessions/{key}/run", json=run).json() for key in keys]
    assert frames[0]["losses"] != frames[1]["losses"]
    for key in keys:
        client.post(f"/api/sessions/{key}/end", json={})


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example:8765"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:9999"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "own", "Sec-Fetch-Site": "same-origin"}, 200),
        ({}, 200),
    ],
)
def test_other_sites_are_refused(client, served, headers, status):
    headers = {key: served[0] if value == "own" else value for key, value in headers.items()}
    answer = client.post("/api/sessions", json={}, headers=headers)
    assert answer.status_code == status
    if status == 200:
        client.post(f"/api/sessions/{answer.json()['session']}/end", json={})
    else:
        assert "error" in answer.json()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[" * 100_000, 400),
        (b"[]", 400),
        (b'{"hidden": [99]}', 400),
        (b'{"noise": NaN}', 400),
        (b'{"painted": [[1' + b"0" * 400 + b", 0, 1]]}", 400),
        (b'{"solver": "lbfgs", "dropout": 0.95}', 400),
        (b'{"table": "' + b"x" * LIMITS.body + b'"}', 413),
    ],
)
def test_bodies_that_are_refused(client, body, status):
    answer = client.post(
        "/api/sessions", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == status and answer.json()["error"]


def test_a_form_of_another_page_is_refused(client):
    answer = client.post("/api/sessions", content="{}", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("run", {"epochs": 0, "known": 0}),
        ("run", {"epochs": 1, "known": -1}),
        ("run", {"epochs": 10**9, "known": 0}),
        ("run", {"epochs": True, "known": 0}),
        ("run", []),
        ("show", {"epoch": "1", "known": 0}),
        ("point", {"epoch": 0, "place": [1]}),
        ("point", {"epoch": 0, "place": [1, 10**400]}),
        ("point", {"epoch": 0, "place": [1, float("nan")]}),
        ("point", {"epoch": 0, "place": [1, float("inf")]}),
    ],
)
def test_questions_out_of_bounds(client, name, given):
    key = client.post("/api/sessions", json={}).json()["session"]
    answer = client.post(
        f"/api/sessions/{key}/{name}",
        content=json.dumps(given),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 400 and answer.json()["error"]
    client.post(f"/api/sessions/{key}/end", json={})


def test_tables(client):
    good = client.post("/api/table", content=b"a,b,<script>\n1,2,x\n3,4,y\n")
    assert good.json()["columns"][2] == {"name": "<script>", "is_number": False}
    assert client.post("/api/table", content=b"").status_code == 400
    assert client.post("/api/table", content=b"\x00\x01\x02").status_code == 400
    packed = client.post("/api/table", content=gzip.compress(b"a,b\n1,2\n"))
    assert packed.status_code == 400 and "UTF-8" in packed.json()["error"]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.csv", "a,b\n1,2\n")
    assert client.post("/api/table", content=archive.getvalue()).status_code == 400
    assert client.post("/api/table", content=b"a,b\n" * 400_000).status_code == 413
    wide = client.post("/api/table", content=b"," * 400_000 + b"\n" + b"," * 400_000)
    assert wide.status_code == 400 and "columns" in wide.json()["error"]


@pytest.mark.parametrize("path", ["/api/table", "/api/sessions"])
def test_a_body_that_does_not_arrive(client, monkeypatch, path):
    monkeypatch.setattr("fastmlp.playground.app.LIMITS", replace(LIMITS, seconds=0.1))
    host, port = client.base_url.host, client.base_url.port
    head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 9\r\n"
    with socket.create_connection((host, port), timeout=30) as connection:
        connection.sendall(f"{head}Content-Type: application/json\r\n\r\n{{".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 408")


def test_an_internal_error_tells_nothing(client, monkeypatch, caplog):
    def fail(*args):
        raise RuntimeError("a secret")

    monkeypatch.setattr("fastmlp.playground.app.read_settings", fail)
    answer = client.post("/api/sessions", json={})
    assert answer.status_code == 500 and "secret" not in answer.text + caplog.text


def test_the_end_of_the_server_ends_its_threads():
    with serving() as (address, sessions, end):
        key = httpx.post(f"{address}/api/sessions", json={}).json()["session"]
        httpx.post(f"{address}/api/sessions/{key}/run", json={"epochs": 1, "known": 0})
        training = sessions.find(key).training
        assert training.is_alive
        end()
        assert len(sessions) == 0 and not training.is_alive


def test_a_lesson_to_begin_with(monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("fastmlp.playground.server.serve_playground", lambda sock: sock.close())
    found = CliRunner().invoke(main, ["playground", "--port", "0", "--lesson", "xor", "--json"])
    assert found.exit_code == 0, found.output
    address = json.loads(found.stdout)["address"]
    assert opened == [address] and re.fullmatch(r"http://127\.0\.0\.1:\d+/#lesson=xor", address)
    found = CliRunner().invoke(main, ["playground", "--port", "0", "--lesson", "x"])
    assert found.exit_code == 2 and len(found.stderr.splitlines()) == 1
    assert "there is no lesson 'x'; there are circle, linear-xor, xor, " in found.stderr


def test_a_missing_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "starlette", None)
    found = CliRunner().invoke(main, ["playground", "--no-open"])
    assert "pip install 'fastmlp[serve]'" in str(found.exception) + found.output
