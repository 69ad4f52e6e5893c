"""``fastmlp report`` and ``fit --report``."""

import json
from pathlib import Path

import pandas as pd
import pytest
from commands import QUICK, fails, run

from fastmlp.reports import page, writing


def text_of(path):
    return Path(path).read_text("utf-8")


def test_fit_writes_a_report_on_the_rows_that_it_held_out(data):
    result = run("fit", "data.csv", *QUICK, "--report", "out.html")
    assert result.stdout.split("report")[1].split()[0] == "out.html"
    assert "measured on 24 rows that it has not seen" in text_of("out.html")
    found = json.loads(run("fit", "data.csv", *QUICK, "--report", "out.html", "--json").stdout)
    assert found["report"] == "out.html"
    # It is the same model, with the same metrics.
    shown = json.loads(run("report", "data.fastmlp", "data.csv", "--json").stdout)
    assert shown["report"] == "data.html" and shown["seen"] == "held out" and shown["rows"] == 24
    for name, metric in shown["metrics"].items():
        assert metric["value"] == pytest.approx(found["test"][name])
        assert metric["low"] <= metric["value"] <= metric["high"]


def test_a_report_on_other_rows_says_what_it_does_not_know(model, data):
    data.head(50).to_csv("part.csv", index=False)
    result = run("report", model, "part.csv", "-o", "other.html")
    assert "rows" in result.stdout and "cannot be known" in result.stdout
    assert "cannot be known here" in text_of("other.html")


def test_a_report_on_rows_that_were_trained_on_says_so(data):
    run("fit", "data.csv", *QUICK, "--test-size", "0", "--report", "out.html")
    assert "none were held out" in text_of("out.html")


def test_a_file_that_is_no_report_is_kept(model):
    Path("mine.html").write_text("mine")
    for args in (("report", model, "data.csv"), ("fit", "data.csv", *QUICK, "--report")):
        option = ("-o", "mine.html") if args[0] == "report" else ("mine.html",)
        assert "exists and is not a report" in fails(*args, *option)
    assert text_of("mine.html") == "mine"
    for name in ("data.csv", model):
        assert "another file of this command" in fails("report", model, "data.csv", "-o", name)
    assert "no folder" in fails("fit", "data.csv", "--report", "none/out.html")


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_a_missing_package_is_one_line_before_any_work(data, monkeypatch, package):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    message = fails("fit", "data.csv", "--report", "out.html")
    assert f"needs the package {package}: pip install 'fastmlp[report]'" in message
    assert not Path("data.fastmlp").exists() and not Path("out.html").exists()


def test_an_interrupted_report_leaves_the_model_alone(data, monkeypatch):
    def interrupted(page):
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "render", interrupted)
    result = run("fit", "data.csv", *QUICK, "--report", "out.html", "--json")
    assert "the model is in data.fastmlp, and there is no report" in result.stderr
    assert "report" not in json.loads(result.stdout)
    assert sorted(path.name for path in Path().iterdir()) == ["data.csv", "data.fastmlp"]
    run("report", "data.fastmlp", "data.csv", code=130)
    assert sorted(path.name for path in Path().iterdir()) == ["data.csv", "data.fastmlp"]


def test_a_report_that_cannot_be_written_says_where_the_model_is(data, monkeypatch):
    def full(page):
        raise OSError(28, "No space left on device", "out.html")

    monkeypatch.setattr(writing, "render", full)
    result = run("fit", "data.csv", *QUICK, "--quiet", "--report", "out.html", code=2)
    assert "the model is in data.fastmlp, and there is no report" in result.stderr
    assert Path("data.fastmlp").exists() and not Path("out.html").exists()


def test_errors_in_the_table_are_those_of_evaluate(model, data):
    data.drop(columns="class").to_csv("bad.csv", index=False)
    assert "no target column 'class'" in fails("report", model, "bad.csv")
    data.assign(**{"class": "middle"}).to_csv("bad.csv", index=False)
    assert "'middle', which the model does not know" in fails("report", model, "bad.csv")
    assert not Path("data.html").exists()


def test_several_targets_have_a_section_each(here):
    x = pd.Series(range(80))
    table = pd.DataFrame({"x": x % 13, "z": x % 7, "a": x % 13 * 2.5, "b": x % 7 * 1.5})
    table.to_csv("data.csv", index=False)
    result = run("fit", "data.csv", *QUICK, "--target", "a", "--target", "b", "--report", "o.html")
    assert result.exit_code == 0 and page.is_report(Path("o.html"))
    shown = text_of("o.html")
    assert "How good it is: “a”" in shown and "How good it is: “b”" in shown
    assert "R2 " in run("report", "data.fastmlp", "data.csv").stdout
