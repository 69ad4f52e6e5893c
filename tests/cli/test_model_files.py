"""Commands on model files: hostile ones, full disks, and exports of odd tables."""

import errno
import json
import tempfile
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from commands import QUICK, fails, run

from fastmlp import load_model
from fastmlp.export import model_file


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The temporary folder."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def full_disk(monkeypatch, is_full):
    """Let models not be saved where the disk is full."""
    save = model_file.save_model

    def save_or_fail(model, path):
        if is_full(Path(path)):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        save(model, path)

    monkeypatch.setattr(model_file, "save_model", save_or_fail)


def test_a_trained_model_is_kept_where_there_is_room(data, temporary, monkeypatch):
    full_disk(monkeypatch, lambda path: path.parent != temporary)
    message = fails("fit", "data.csv", "--quiet", *QUICK)
    [rescued] = temporary.iterdir()
    assert f"No space left on device: 'data.fastmlp'; the trained model is in {rescued}" in message
    assert not Path("data.fastmlp").exists() and rescued.name.startswith("data-")
    assert len(load_model(rescued).predict(data)) == len(data)


def test_without_room_anywhere_the_first_error_is_told(data, temporary, monkeypatch):
    full_disk(monkeypatch, lambda path: True)
    message = fails("fit", "data.csv", "--quiet", *QUICK)
    assert "No space left on device: 'data.fastmlp'" in message and "instead" not in message
    assert list(temporary.iterdir()) == []


def test_hostile_models_end_with_one_line(data, model):
    with zipfile.ZipFile(model) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(members["schema.json"])
    schema["content"]["content"]["estimator_"].update(
        __module__="sklearn.svm._classes", __class__="SVC"
    )
    manifest = json.loads(members["fastmlp.json"])
    evil = {
        "type": {"schema.json": json.dumps(schema)},
        "escape": {"fastmlp.json": json.dumps({**manifest, "created": "\x1b]0;title\x07"})},
        "bomb": {"fastmlp.json": b" " * 10**8 + members["fastmlp.json"]},
    }
    for name, changes in evil.items():
        with zipfile.ZipFile("evil", "w", zipfile.ZIP_DEFLATED) as archive:
            for member, content in (members | changes).items():
                archive.writestr(member, content)
        for command in ("info", "predict", "evaluate", "export"):
            further = {"info": [], "export": ["x.onnx"]}.get(command, ["data.csv"])
            message = fails(command, "evil", *further)
            assert "evil: " in message and "\x1b" not in message
        if name != "type":  # the manifest alone says whether a file may be replaced
            message = fails("fit", "data.csv", "-o", "evil", "--quiet", *QUICK)
            assert "exists and is not a model of fastmlp" in message
    assert not Path("x.onnx").exists()


def test_export_of_text_without_a_frequent_level(here):
    pytest.importorskip("onnx")
    frame = pd.DataFrame({"city": list("abcdefgh"), "size": range(8), "t": list("uv") * 4})
    frame.to_csv("few.csv", index=False)
    run("fit", "few.csv", "--test-size", "0", "--quiet", *QUICK)
    run("export", "few.fastmlp", "few.onnx")
    assert Path("few.onnx").stat().st_size > 0
