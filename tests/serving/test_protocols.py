"""The answers of each protocol are the predictions of the model, bit by bit."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from fastmlp_cli.main import main
from served import fitted, rows_of, serving

from fastmlp import TabularClassifier, TabularRegressor, save_model
from fastmlp.serving.schema import schema_of

COLUMNS = ["size", "price", "city <b>", "day"]


def probabilities(answer):
    assert answer.status_code == 200, answer.text
    predictions = answer.json()["predictions"]
    return np.array([[p["probability_large"], p["probability_small"]] for p in predictions])


def tensors(frame):
    kinds = {"size": "FP64"}
    return [
        {"name": name, "shape": [len(frame)], "datatype": kinds.get(name, "BYTES"),
         "data": [None if v != v else v for v in frame[name].tolist()]}
        for name in COLUMNS
    ]  # fmt: skip


def test_rows(client, classifier, frame):
    answer = client.post("/predict", json={"rows": rows_of(frame)})
    expected = classifier.predict_proba(frame).astype(float)
    np.testing.assert_array_equal(probabilities(answer), expected)
    labels = [prediction["kind"] for prediction in answer.json()["predictions"]]
    assert labels == classifier.predict(frame).tolist()
    assert answer.json()["ignored_columns"] == 1  # the constant one


def test_answers_are_what_the_command_line_prints(client, classifier, frame, tmp_path):
    save_model(classifier, tmp_path / "m.fastmlp")
    frame.head(7).to_csv(tmp_path / "rows.csv", index=False)
    command = ["predict", str(tmp_path / "m.fastmlp"), str(tmp_path / "rows.csv")]
    printed = CliRunner().invoke(main, [*command, "--proba", "--json"]).stdout
    answer = client.post(
        "/predict",
        content=(tmp_path / "rows.csv").read_bytes(),
        headers={"Content-Type": "text/csv; charset=utf-8"},
    )
    found, expected = (found["predictions"] for found in (answer.json(), json.loads(printed)))
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        assert np.float32(one["probability_large"]) == np.float32(other["probability_large"])


def test_what_mlflow_sends(client, classifier, frame):
    some = frame.head(5)
    split = {"columns": list(some), "data": [list(row.values()) for row in rows_of(some)]}
    bodies = [
        {"dataframe_split": split}, {"dataframe_records": rows_of(some)},
        {"instances": rows_of(some)}, {"inputs": {k: [r[k] for r in rows_of(some)] for k in some}},
        {"inputs": split["data"]}, {"instances": split["data"]},
    ]  # fmt: skip
    for body in bodies:
        answer = client.post("/invocations", json=body)
        assert answer.json() == {"predictions": classifier.predict(some).tolist()}, body.keys()
    csv = some.to_csv(index=False)
    answer = client.post("/invocations", content=csv, headers={"Content-Type": "text/csv"})
    assert answer.json() == {"predictions": classifier.predict(some).tolist()}
    assert client.get("/ping").status_code == client.get("/health").status_code == 200


def test_the_open_inference_protocol(client, classifier, frame):
    assert client.get("/v2").json()["name"] == "fastmlp"
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2/models/model/ready").json() == {"name": "model", "ready": True}
    described = client.get("/v2/models/model").json()
    assert [(one["name"], one["datatype"]) for one in described["inputs"]] == [
        ("size", "FP64"), ("price", "BYTES"), ("city <b>", "BYTES"), ("day", "BYTES"),
    ]  # fmt: skip
    assert [one["name"] for one in described["outputs"]] == ["kind", "probabilities"]
    body = {"id": "7", "inputs": tensors(frame)}
    answer = client.post("/v2/models/model/infer", json=body).json()
    labels, shares = answer["outputs"]
    assert (answer["id"], answer["model_name"]) == ("7", "model")
    assert labels["data"] == classifier.predict(frame).tolist()
    assert shares["shape"] == [len(frame), 2]
    assert json.loads(shares["parameters"]["classes"]) == ["large", "small"]
    found = np.array(shares["data"], dtype=np.float32).reshape(shares["shape"])
    np.testing.assert_array_equal(found, classifier.predict_proba(frame))
    column = [{**one, "shape": [len(frame), 1]} for one in tensors(frame)]
    nested = [{**one, "data": [[value] for value in one["data"]]} for one in column]
    for inputs in (column, nested):
        body = {"inputs": inputs, "outputs": [{"name": "kind"}]}
        answer = client.post("/v2/models/model/infer", json=body).json()
        assert answer["outputs"] == [labels] and "id" not in answer


def test_one_tensor_for_all_columns():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    model = fitted(TabularRegressor, X, X[:, 0])
    with serving(model) as (client, _):
        tensor = {"name": "x", "shape": [4, 3], "datatype": "FP64", "data": X[:4].ravel().tolist()}
        answer = client.post("/v2/models/model/infer", json={"inputs": [tensor]}).json()
        assert answer["outputs"][0]["data"] == model.predict(X[:4]).tolist()
        rows = [{str(i): value for i, value in enumerate(row)} for row in X[:4].tolist()]
        answer = client.post("/predict", json={"rows": rows}).json()
        assert [p["prediction"] for p in answer["predictions"]] == model.predict(X[:4]).tolist()


@pytest.mark.parametrize("how", ["several", "quantiles", "pack", "threshold", "three"])
def test_other_models(how, frame):
    y = frame["size"].fillna(50).rename("worth")
    if how == "several":
        model = fitted(TabularRegressor, frame, pd.DataFrame({"worth": y, "half": y / 2 + 1}))
    elif how == "quantiles":
        model = fitted(TabularRegressor, frame, y, loss="quantile", quantiles=(0.1, 0.9))
    elif how == "pack":
        model = fitted(TabularRegressor, frame, y, members=2)
    elif how == "threshold":
        model = fitted(TabularClassifier, frame, y > 50, threshold=0.3)
    else:
        model = fitted(TabularClassifier, frame, np.digitize(y, [45, 55]))
    schema = schema_of(model)
    expected = model.predict(frame).reshape(len(frame), -1)
    with serving(model) as (client, _):
        answer = client.post("/predict", json={"rows": rows_of(frame)}).json()["predictions"]
        found = np.array([[one[name] for name in schema.values] for one in answer])
        np.testing.assert_array_equal(found, expected)
        answer = client.post("/invocations", json={"instances": rows_of(frame)}).json()
        first = answer["predictions"][0]
        shown = expected[0].tolist()
        assert first == (
            dict(zip(schema.values, shown, strict=True)) if len(shown) > 1 else shown[0]
        )


def test_64_clients_get_the_bits_of_single_calls(classifier, frame):
    rows = rows_of(frame)
    expected = [classifier.predict_proba([row]).astype(float) for row in rows[:64]]
    with serving(classifier) as (client, state):
        sizes = []
        predicted = state.batcher.answer

        async def counted(*arguments):
            sizes.append(state.batcher._n_waiting)
            return await predicted(*arguments)

        state.batcher.answer = counted

        def ask(number):
            return [
                probabilities(client.post("/predict", json={"rows": [rows[number]]}))
                for _ in range(4)
            ]

        with ThreadPoolExecutor(64) as pool:
            for found, one in zip(pool.map(ask, range(64)), expected, strict=True):
                for answer in found:
                    np.testing.assert_array_equal(answer, one)
        assert max(sizes) > 1  # some have waited together


def test_the_description_fits_what_is_sent(client, frame):
    described = client.get("/openapi.json").json()
    assert described["openapi"] == "3.1.0"
    row = described["components"]["schemas"]["Row"]
    assert row["required"] == COLUMNS
    assert row["properties"]["city <b>"]["examples"][0] in set(frame["city <b>"])
    example = described["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert client.post("/predict", json=example["example"]).status_code == 200
    for path, operations in described["paths"].items():
        for method in operations.keys() & {"get", "post"}:
            answer = client.request(method.upper(), path.replace("{name}", "model"), json={})
            assert answer.status_code == (200 if method == "get" else 400), path


def test_the_page_escapes_what_comes_from_the_table(client):
    answer = client.get("/")
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert '<b>"' not in answer.text and "alert(1)</script>" not in answer.text
    assert 'name="city &lt;b&gt;"' in answer.text
    assert '<option value="&lt;script&gt;alert(1)&lt;/script&gt;">' in answer.text
    for outside in ("http://", "https://", "src="):
        assert outside not in answer.text
