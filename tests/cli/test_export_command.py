"""``fastmlp export --to``: files and folders for other programs."""

import json
from pathlib import Path

import pytest
from commands import fails, run

from fastmlp import load_model


def test_c(model):
    assert "model.c, " in run("export", model, "model.c").stdout
    first = Path("model.c").read_bytes()
    told = json.loads(run("export", model, "other", "--to", "c", "--json").stdout)
    assert told == {"c": "other", "bytes": len(first)} and Path("other").read_bytes() == first
    run("export", model, "model.c")  # a file of the same kind is replaced
    Path("mine.c").write_text("int mine;")
    assert "exists and is not a file of C by fastmlp" in fails("export", model, "mine.c")
    assert Path("mine.c").read_text() == "int mine;"


def test_mlflow(model):
    run("export", model, "served/", "--to", "mlflow")
    assert load_model("served/model.fastmlp") and Path("served/MLmodel").exists()
    assert "this folder is not empty" in fails("export", model, "served", "--to", "mlflow")
    told = json.loads(run("export", model, "again", "--to", "mlflow", "--json").stdout)
    size = sum(path.stat().st_size for path in Path("again").iterdir())
    assert told == {"mlflow": "again", "bytes": size}


def test_the_current_folder_is_not_replaced(model, monkeypatch):
    file = Path(model).resolve()
    Path("empty").mkdir()
    monkeypatch.chdir("empty")
    assert "the folder you are in" in fails("export", str(file), ".", "--to", "mlflow")
    assert Path("../empty").samefile(".") and not list(Path().iterdir())


def test_triton(model):
    pytest.importorskip("onnx", reason="onnx is not installed")
    run("export", model, "served", "--to", "triton")
    assert Path("served/1/model.onnx").exists() and Path("served/config.pbtxt").exists()


def test_what_cannot_be_exported_leaves_nothing(model):
    before = sorted(Path().iterdir())
    assert "no such file" in fails("export", "none.fastmlp", "x.c")
    assert "there is no folder" in fails("export", model, "none/x", "--to", "mlflow")
    for form in ("c", "onnx"):
        assert "is the name of a folder" in run("export", model, "x/", "--to", form, code=2).stderr
    assert "not a model" in fails("export", "data.csv", "x", "--to", "mlflow")
    assert sorted(Path().iterdir()) == before
