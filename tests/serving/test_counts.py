"""What ``/metrics`` says is what has happened, in Prometheus' text format."""

import re
import threading

import pytest
from served import held_answers, rows_of, serving

from fastmlp.serving.limits import Limits
from fastmlp.serving.metrics import ROUTES, Metrics, bytes_of_counts

SAMPLE = re.compile(r'(\w+)(?:\{((?:\w+="[^"\\\n]*",?)*)\})? (\S+)')


def parsed(text):
    """The samples of a text by names and labels, and the kinds of metrics."""
    samples, kinds = {}, {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in kinds
            kinds[name] = kind
        elif not line.startswith("# HELP "):
            name, labels, value = SAMPLE.fullmatch(line).groups()
            key = (name, *sorted(re.findall(r'(\w+)="([^"]*)"', labels or "")))
            assert key not in samples, line
            samples[key] = float(value)
            assert re.sub("_(bucket|sum|count)$", "", name) in kinds or name in kinds
    return samples, kinds


def scraped(client):
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return parsed(answer.text)[0]


def requests(samples):
    return {
        (dict(labels)["route"], dict(labels)["status"]): count
        for (name, *labels), count in samples.items()
        if name == "fastmlp_requests_total"
    }


def test_requests_and_rows_are_counted(classifier, frame):
    rows = rows_of(frame.head(3))
    with serving(classifier) as (client, _):
        before = scraped(client)
        assert requests(before) == {} and before["fastmlp_predicted_rows_total",] == 0
        client.post("/predict", json={"rows": rows})
        client.post("/predict", json={"rows": rows[:1]})
        client.post("/predict", json={"rows": [{**rows[0], "size": "big"}]})
        client.get("/v2/models/model")
        for name in ("a", "b"):
            client.get(f"/v2/models/{name}")
            client.get(f"/none/{name}")
        client.get("/predict")
        found = scraped(client)
    assert requests(found) == {
        ("/metrics", "200"): 1, ("/predict", "200"): 2, ("/predict", "400"): 1,
        ("/v2/models/{name}", "200"): 1, ("/v2/models/{name}", "404"): 2,
        ("other", "404"): 2, ("other", "405"): 1,
    }  # fmt: skip
    assert found["fastmlp_predicted_rows_total",] == 4
    assert found["fastmlp_batch_requests_count",] == found["fastmlp_batch_requests_sum",] == 2
    assert found["fastmlp_waiting_requests",] == 0
    route = ("route", "/predict")
    assert found["fastmlp_request_duration_seconds_count", route] == 3
    assert found["fastmlp_request_duration_seconds_bucket", ("le", "+Inf"), route] == 3
    assert found["fastmlp_request_duration_seconds_sum", route] > 0


def test_the_queue_is_told(classifier, frame, monkeypatch):
    with (
        serving(classifier, limits=Limits(waiting=1)) as (client, state),
        held_answers(state, monkeypatch) as (begun, goes_on),
    ):
        body = {"rows": rows_of(frame.head(1))}
        first = threading.Thread(target=lambda: client.post("/predict", json=body))
        first.start()
        assert begun.wait(30)
        assert client.post("/predict", json=body).status_code == 503
        found = scraped(client)
        goes_on.set()
        first.join()
    assert found["fastmlp_waiting_requests",] == 1
    assert requests(found)["/predict", "503"] == 1


def test_a_token_is_needed(classifier):
    with serving(classifier, token="secret") as (client, _):
        assert client.get("/metrics").status_code == 401
        client.headers["Authorization"] = "Bearer secret"
        assert requests(scraped(client)) == {("/metrics", "401"): 1}


def test_processes_add_up_and_one_that_begins_again_goes_on():
    shared = bytearray(bytes_of_counts(2))
    one, other = Metrics(shared, 0), Metrics(shared, 1)
    one.count_batch(3, 40)
    other.count_batch(700, 2)
    other.set_waiting(5)
    one.set_waiting(1)
    one.count_request("/predict", 200, 0.25)
    other.count_request("/predict", 299, 40.5)
    for metrics in (one, other):
        samples, kinds = parsed(metrics.text())
        assert samples["fastmlp_predicted_rows_total",] == 42
        assert samples["fastmlp_waiting_requests",] == 6
        route, name = ("route", "/predict"), "fastmlp_request_duration_seconds"
        bounds = [("0.1", 0), ("0.25", 1), ("30", 1), ("+Inf", 2)]
        for bound, count in bounds:
            assert samples[f"{name}_bucket", ("le", bound), route] == count
        assert samples[f"{name}_sum", route] == pytest.approx(40.75)
        assert requests(samples) == {("/predict", "200"): 1, ("/predict", "other"): 1}
        buckets = {dict(k[1:])["le"]: v for k, v in samples.items() if k[0].endswith("s_bucket")
                   and "batch" in k[0]}  # fmt: skip
        assert (buckets["2"], buckets["4"], buckets["512"], buckets["+Inf"]) == (0, 1, 1, 2)
        assert set(kinds.values()) == {"counter", "gauge", "histogram"}
    again = Metrics(shared, 1)
    samples, _ = parsed(again.text())
    assert samples["fastmlp_predicted_rows_total",] == 42
    assert samples["fastmlp_waiting_requests",] == 1


def test_every_route_has_its_counts(classifier):
    from fastmlp.serving.app import Settings, State, make_app
    from fastmlp.serving.batching import Served

    state = State(Served("model", classifier), Settings())
    assert {route.path for route in make_app(state).routes} | {"other"} == set(ROUTES)
    state.batcher.close()
