"""What a server refuses, and how it says so."""

import contextlib
import gzip
import json
import logging
import socket
import threading
from base64 import b64encode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served import held_answers, rows_of, serving

from fastmlp.serving.app import allowed_hosts
from fastmlp.serving.limits import Limits


def refused(answer, status=400):
    """The words of an answer that refuses a request."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    (words,) = answer.json().values()
    assert "\n" not in words and "Traceback" not in words
    return words


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": "big"}, "column 'size' has the text 'big' in row 2"),
        ({"size": float("inf")}, "column 'size' is infinite in row 2"),
        ({"size": [1]}, "column 'size' holds a list"),
        ({"city <b>": {"a": 1}}, "column 'city <b>' holds a dict"),
        ({"price": "5 USD"}, "column 'price' has the text '5 USD' in row 2"),
        ({"size": 10**400}, "more than 308 digits in row 2"),
    ],
)
def test_validation_names_the_column_and_the_row(client, frame, change, words):
    rows = rows_of(frame.head(3))
    rows[1].update(change)
    assert words in refused(client.post("/predict", content=json.dumps({"rows": rows})))


def test_a_column_that_one_row_lacks(client, frame):
    rows = rows_of(frame.head(3))
    del rows[2]["day"]
    words = refused(client.post("/predict", json={"rows": rows}))
    assert words == "row 3 has no column 'day'; write null where its value is missing"
    del rows[2]["constant"]  # the model does not use it
    rows[2]["day"] = None
    assert client.post("/predict", json={"rows": rows}).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/predict", "{", "no JSON"),
        ("/predict", b"\xff\xfe\x00", "UTF-8"),
        ("/predict", "[1]", "JSON object"),
        ("/predict", "{}", 'no "rows"'),
        ("/predict", '{"rows": []}', "at least one row"),
        ("/predict", '{"rows": [1]}', "row 1"),
        ("/predict", "[" * 100_000, "too many levels"),
        ("/predict", "1" * 5000, "too many digits"),
        ("/invocations", "{}", "needs one of"),
        ("/invocations", '{"inputs": {"a": [1], "b": [1, 2]}}', "column 'b' has 2"),
        ("/invocations", '{"inputs": {"a": 1}}', "no list"),
        ("/invocations", '{"dataframe_split": {"columns": ["a"], "data": [[1], [1, 2]]}}', "row 2"),
        ("/invocations", '{"dataframe_split": 3}', "columns"),
        ("/v2/models/model/infer", "{}", "inputs"),
        ("/v2/models/model/infer", '{"inputs": [3]}', "name"),
    ],
)
def test_malformed_bodies(client, path, body, words):
    assert words in refused(client.post(path, content=body))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shape": [2]}, "data have 1 values"),
        ({"shape": [1, 2], "data": [[1], [2]]}, "other data than its shape"),
        ({"shape": ["x"]}, "no shape"),
        ({"datatype": "BYTES"}, "no BYTES"),
        ({"datatype": "COMPLEX"}, "none of FP64"),
        ({"data": ["x"]}, '"x" in row 1, which is no FP64'),
        ({"shape": [1, 2], "data": [1, 2]}, "has 2 columns, and the model has 5"),
        ({"data": None, "parameters": {"binary_data_size": 8}}, "binary"),
        ({"name": "colour"}, "no column 'size'"),
    ],
)
def test_malformed_tensors(client, change, words):
    tensor = {"name": "size", "shape": [1], "datatype": "FP64", "data": [1.0], **change}
    answer = client.post("/v2/models/model/infer", json={"inputs": [tensor]})
    assert words in refused(answer)


def test_addresses_methods_and_types(client):
    assert "nothing" in refused(client.get("/etc/passwd"), 404)
    assert "method" in refused(client.get("/predict"), 405)
    assert "'model'" in refused(client.get("/v2/models/other"), 404)
    assert "application/json" in refused(client.post("/predict", data={"rows": "1"}), 415)
    body = gzip.compress(b"{}")
    answer = client.post("/predict", content=body, headers={"Content-Encoding": "gzip"})
    assert "compressed" in refused(answer, 415)


@pytest.mark.parametrize(
    "body",
    [gzip.compress(b"size\n" * 1000), b"BZh91AY&SYx", b"a\0b", b"\xff"],
    ids=["gzip", "bzip2", "zero byte", "no UTF-8"],
)
def test_a_csv_that_is_no_text_is_not_looked_into(client, body):
    answer = client.post("/predict", content=body, headers={"Content-Type": "text/csv"})
    assert "no CSV" in refused(answer)


def test_a_csv_of_too_many_columns(client):
    body = b"," * 30_000 + b"\n"
    answer = client.post("/predict", content=body, headers={"Content-Type": "text/csv"})
    refused(answer, 413)


def test_large_requests(classifier, frame):
    with serving(classifier, limits=Limits(body=5000, rows=4)) as (client, _):
        rows = rows_of(frame.head(5))
        assert "5 rows" in refused(client.post("/predict", json={"rows": rows}), 413)
        csv = frame.head(5).to_csv(index=False)
        answer = client.post("/predict", content=csv, headers={"Content-Type": "text/csv"})
        assert "5 rows" in refused(answer, 413)
        assert client.post("/predict", json={"rows": rows[:4]}).status_code == 200
        assert "5000 bytes" in refused(client.post("/predict", content=b"1" * 5001), 413)
        # Without a length, what has arrived is counted.
        assert "5000 bytes" in refused(
            client.post("/predict", content=iter([b"1" * 3000] * 2)), 413
        )


def test_a_body_that_does_not_arrive(classifier):
    with serving(classifier, limits=Limits(seconds=0.2)) as (client, _):
        with socket.create_connection((client.base_url.host, client.base_url.port)) as slow:
            slow.sendall(
                b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
                b"Content-Type: application/json\r\n\r\n{"
            )
            answer = slow.recv(10_000).decode()
        assert answer.startswith("HTTP/1.1 408")


def test_more_requests_than_may_wait(classifier, frame, monkeypatch):
    with (
        serving(classifier, limits=Limits(waiting=1)) as (client, state),
        held_answers(state, monkeypatch) as (begun, goes_on),
    ):
        body = {"rows": rows_of(frame.head(1))}
        answers = []
        first = threading.Thread(target=lambda: answers.append(client.post("/predict", json=body)))
        first.start()
        assert begun.wait(30)
        second = client.post("/predict", json=body)
        assert client.get("/v2/health/ready").status_code == 200  # the loop is not held
        goes_on.set()
        first.join()
        assert "wait" in refused(second, 503)
        assert second.headers["retry-after"] == "1"
        assert answers[0].status_code == 200


def test_an_answer_that_takes_too_long(classifier, frame, monkeypatch):
    with serving(classifier, limits=Limits(seconds=0.2)) as (client, state):
        body = {"rows": rows_of(frame.head(1))}
        with held_answers(state, monkeypatch) as (_, goes_on):
            assert "no answer" in refused(client.post("/predict", json=body), 503)
            goes_on.set()
        assert client.post("/predict", json=body).status_code == 200


def test_a_fault_of_ours_shows_nothing_of_itself(classifier, frame, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "fastmlp.serving")
    body = {"rows": rows_of(frame.head(1))}
    with serving(classifier) as (client, _):
        monkeypatch.setattr("fastmlp.serving.batching.predict_tables", lambda *a: 1 / 0)
        assert refused(client.post("/predict", json=body), 500) == "internal error"
        monkeypatch.undo()
        assert client.post("/predict", json=body).status_code == 200
    assert "ZeroDivisionError" in caplog.text and "Traceback" not in caplog.text


def test_one_request_that_cannot_be_predicted_leaves_others_alone(classifier, frame, monkeypatch):
    from fastmlp.serving import batching

    def fails(model, tables):
        if len(tables) > 1 or tables[0][0].numbers[0, 0] == 13:
            raise ValueError("outputs are not finite")
        return predict_tables(model, tables)

    predict_tables = batching.predict_tables
    monkeypatch.setattr(batching, "predict_tables", fails)
    served = batching.Served("model", classifier)
    rows = rows_of(frame.head(2))
    rows[1]["size"] = 13
    jobs = []
    for row in rows:
        job = batching._Job(served, None, lambda *a: b"done", None)
        job.table = batching.Table([row])
        job.rows = batching.read_table_rows(classifier, [row])
        jobs.append(job)
    found = []
    batching._predict(served, jobs, found, batching.Metrics())
    assert found[0] == (jobs[0], (b"done", 1))
    assert (found[1][0], found[1][1].status) == (jobs[1], 400)


def test_tokens(classifier):
    with serving(classifier, token="secret") as (client, _):
        assert client.get("/v2/health/live").status_code == 200
        answer = client.get("/v2")
        refused(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Basic")
        basic = b64encode(b"anybody:secret").decode()
        for header, status in (
            ("Bearer secret", 200), (f"Basic {basic}", 200), ("Bearer Secret", 401),
            ("Basic !", 401), ("secret", 401), ("Bearer secr\u00e9t", 401), ("Digest secret", 401),
        ):  # fmt: skip
            headers = {"Authorization": header.encode("latin-1")}
            assert client.get("/v2", headers=headers).status_code == status, header


def test_foreign_names_of_this_machine(client):
    port = client.base_url.port
    for host in ("localhost", f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", "[::1]"):
        assert client.get("/v2", headers={"Host": host}).status_code == 200, host
    for host in ("evil.example", f"evil.example:{port}", "localhost.evil.example", ""):
        refused(client.get("/v2", headers={"Host": host}), 421)
    assert allowed_hosts("0.0.0.0") is None and allowed_hosts("example.com") is None
    assert "127.0.0.2" in allowed_hosts("127.0.0.2")


def test_lines_of_the_log_have_no_values(classifier, frame, caplog):
    caplog.set_level(logging.INFO, "fastmlp.serving")
    with serving(classifier) as (client, _):
        rows = rows_of(frame.head(2))
        rows[1]["size"] = "confidential"
        client.post("/predict", json={"rows": rows[:1]})
        client.post("/predict?token=confidential", json={"rows": rows})
        client.get("/%1b[31m")
    lines = [r.getMessage() for r in caplog.records if r.name == "fastmlp.serving"]
    assert len(lines) == 3
    assert "POST /predict 200 1 row " in lines[0] and "POST /predict 400 " in lines[1]
    assert "confidential" not in caplog.text and "\x1b" not in caplog.text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["rows", "inputs", "name", "shape", "datatype", "data", "size", "day",
                         "price", "city <b>", "instances", "dataframe_split", "columns",
                         "dataframe_records", "outputs", "id", "parameters"]),
        inner, max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip
paths = st.sampled_from(["/predict", "/invocations", "/v2/models/model/infer"])
types = st.sampled_from(["application/json", "text/csv", "", "text/csv; charset=utf-16", "x/y"])


@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), path=paths, kind=types)
def test_no_body_is_a_fault_of_the_server(client, frame, data, path, kind):
    row = rows_of(frame.head(1))[0]
    name = data.draw(st.sampled_from(list(row)))
    changed = {**row, name: data.draw(json_values)}
    tensors = [
        {"name": k, "shape": [1], "datatype": "BYTES" if k != "size" else "FP64", "data": [v]}
        for k, v in changed.items()
    ]
    bodies = {
        "/predict": {"rows": [row, changed]},
        "/invocations": {"instances": [changed]},
        "/v2/models/model/infer": {"inputs": tensors},
    }
    how = data.draw(st.sampled_from(["json", "row", "bytes", "csv"]))
    if how == "json":
        body = json.dumps(data.draw(json_values)).encode()
    elif how == "row":
        body = json.dumps(bodies[path]).encode()
    elif how == "bytes":
        body = data.draw(st.binary(max_size=60))
    else:
        text = data.draw(st.text(st.characters(codec="utf-8"), max_size=30))
        body = f"size,price,city <b>,day\n1,{text}\n{text},,".encode()
    answer = client.post(path, content=body, headers={"Content-Type": kind})
    assert answer.status_code < 500, (path, kind, body, answer.text)
    assert answer.status_code == 200 or refused(answer, answer.status_code)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80))
def test_no_bytes_end_the_server(client_address, sent):
    with socket.create_connection(client_address) as raw, contextlib.suppress(OSError):
        raw.sendall(b"GET /v2" + sent + b"\r\n\r\n")
        raw.shutdown(socket.SHUT_WR)
        raw.settimeout(10)
        answer = raw.recv(10_000)
        assert b"Traceback" not in answer and not answer.startswith(b"HTTP/1.1 5")


@pytest.fixture(scope="module")
def client_address(client):
    yield client.base_url.host, client.base_url.port
    assert client.get("/v2/health/live").status_code == 200
