"""Model files: round trips, refusals, and that nothing is half-written."""

import inspect
import json
import os
import pickle
import pickletools
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.datasets import load_iris
from sklearn.linear_model import LinearRegression
from sklearn.svm import SVC

import fastmlp
from fastmlp import (
    MLPClassifier,
    MLPRegressor,
    TabularClassifier,
    TabularPreprocessor,
    TabularRegressor,
    load_model,
    save_model,
)
from fastmlp.exceptions import InputError, ModelFileError
from fastmlp.export.files import check_output, written_aside
from fastmlp.export.model_file import read_manifest
from fastmlp.tabular.train import read_for, train_table


@pytest.fixture
def classifier():
    X, y = load_iris(return_X_y=True)
    return MLPClassifier((9,), random_state=0).fit(X, y, callback=lambda epoch: epoch.epoch == 3)


def test_estimators_come_back_equal(tmp_path, classifier):
    X, y = load_iris(return_X_y=True)
    regressor = MLPRegressor(solver="sgd", learning_rate="adaptive", early_stopping=True)
    regressor.fit(X, y * 0.1, callback=lambda epoch: epoch.epoch == 3)
    for model in (classifier, regressor):
        save_model(model, tmp_path / "model")
        loaded = load_model(tmp_path / "model")
        np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
        assert loaded.get_params() == model.get_params()
    for model in (classifier, load_model(save(classifier, tmp_path))):
        model.partial_fit(X, y)
    np.testing.assert_array_equal(model.coefs_[0], classifier.coefs_[0])


def save(model, tmp_path):
    save_model(model, tmp_path / "model")
    return tmp_path / "model"


def test_table_models_work_in_another_process(tmp_path, people):
    model = train_table(people, hidden_layer_sizes=(8,), max_iter=20)
    path = save(model, tmp_path)
    people.to_csv(tmp_path / "people.csv", index=False)
    code = (
        "import sys, fastmlp, pandas as pd\n"
        "model = fastmlp.load_model(sys.argv[1])\n"
        "print(*model.predict(pd.read_csv(sys.argv[2])))\n"
        "assert model.report_['task'] == 'classification'\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, path, tmp_path / "people.csv"], capture_output=True, text=True
    )
    assert result.stdout.split() == list(model.predict(people)), result.stderr


@pytest.mark.parametrize("target", ["class", "income"])
def test_models_of_tables_come_back_equal(tmp_path, people, target):
    frame = people.dropna(subset="income")
    model = train_table(frame, target, max_iter=3, na_values=["?"])
    loaded = load_model(save(model, tmp_path))
    assert type(loaded) is type(model) and loaded.get_params() == model.get_params()
    np.testing.assert_array_equal(loaded.predict(frame), model.predict(frame))
    assert loaded.report_ == model.report_ and loaded.columns_ == model.columns_
    assert loaded.target_name_ == target and loaded.na_values_ == ["?"]
    frame.assign(job="7", age="?").to_csv(tmp_path / "new.csv", index=False)
    read = read_for(loaded, tmp_path / "new.csv")
    assert set(read["job"]) == {"7"} and read["age"].isna().all()
    prepared = load_model(save(model.preprocessor_, tmp_path))
    np.testing.assert_array_equal(prepared.transform(frame), model.preprocessor_.transform(frame))


def test_files_and_pickles_name_public_paths(tmp_path, people, classifier):
    """Neither a file nor a pickle breaks when a module moves."""
    X = people.drop(columns="class")
    table = train_table(people, max_iter=2)
    for model in (classifier, table, TabularRegressor(), TabularPreprocessor().fit(X)):
        assert getattr(fastmlp, type(model).__name__) is type(model)
        words = [word for _, word, _ in pickletools.genops(pickle.dumps(model))]
        words = [word for word in words if isinstance(word, str)]
        assert {"fastmlp", type(model).__name__} <= set(words)
        assert not any(word.startswith(("fastmlp.tab", "fastmlp.est")) for word in words)
    for model in (classifier, table):
        with zipfile.ZipFile(save(model, tmp_path)) as archive:
            schema = archive.read("schema.json").decode()
        assert '"fastmlp.tabular' not in schema and '"fastmlp.estimators' not in schema
    assert "checkpoint: CheckpointPath" in inspect.getsource(TabularClassifier.fit)


def test_manifest(tmp_path, classifier):
    manifest = read_manifest(save(classifier, tmp_path))
    assert manifest["holds"] == "MLPClassifier"
    assert manifest["fastmlp"] == fastmlp.__version__


@pytest.mark.parametrize("content", [b"", b"some text", b"PK\x03\x04 no zip after all"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "model"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="not a model written by fastmlp"):
        load_model(path)


def test_missing_file_folder_and_foreign_archive(tmp_path):
    with pytest.raises(ModelFileError, match="no such file"):
        load_model(tmp_path / "none")
    with pytest.raises(ModelFileError, match="folder"):
        load_model(tmp_path)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a.txt", "hello")
    with pytest.raises(ModelFileError, match="not a model written by fastmlp"):
        load_model(tmp_path / "other.zip")


def manifest_file(path, content):
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("fastmlp.json", content)
    return path


@pytest.mark.parametrize("content", ["[1]", "{}", "no JSON", '{"fastmlp": "0.1.0"}'])
def test_manifests_that_are_none(tmp_path, content):
    with pytest.raises(ModelFileError, match="not a model written by fastmlp"):
        load_model(manifest_file(tmp_path / "model", content))


def test_files_of_a_later_format_say_so(tmp_path, classifier):
    manifest = {**read_manifest(save(classifier, tmp_path)), "format": 3, "fastmlp": "9.0.0"}
    path = manifest_file(tmp_path / "later", json.dumps(manifest))
    with pytest.raises(ModelFileError, match=r"written by fastmlp 9\.0\.0 in another format"):
        load_model(path)


def test_only_fitted_models_are_written_and_loaded(tmp_path, classifier):
    foreign = LinearRegression().fit([[1], [2]], [1, 2])
    with pytest.raises(ModelFileError, match="LinearRegression is none of the models"):
        save_model(foreign, tmp_path / "model")
    unfitted = MLPClassifier(), TabularClassifier(), TabularRegressor(), TabularPreprocessor()
    for model in unfitted:
        with pytest.raises(ModelFileError, match="has not been fitted"):
            save_model(model, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
    manifest = json.dumps(read_manifest(save(classifier, tmp_path)))
    skops.io.dump(foreign, tmp_path / "foreign")
    with pytest.raises(ModelFileError, match="LinearRegression is none of the models"):
        load_model(manifest_file(tmp_path / "foreign", manifest))


def test_truncated_and_damaged_files(tmp_path, classifier):
    path = save(classifier, tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelFileError):
        load_model(path)
    path.write_bytes(whole[:200] + bytes(100) + whole[300:])
    with pytest.raises(ModelFileError):
        load_model(path)


def test_types_beyond_the_list_are_neither_written_nor_loaded(tmp_path, classifier):
    path = save(classifier, tmp_path)
    before = path.read_bytes()
    classifier.hidden_layer_sizes = subprocess.Popen  # any type that could do harm
    with pytest.raises(ModelFileError, match="not loaded for safety"):
        save_model(classifier, path)
    assert path.read_bytes() == before
    # A foreign archive with our manifest: what it holds is looked at before it is built.
    skops.io.dump(SVC(kernel=os.system), tmp_path / "evil")
    with zipfile.ZipFile(path) as ours, zipfile.ZipFile(tmp_path / "evil", "a") as evil:
        evil.writestr("fastmlp.json", ours.read("fastmlp.json"))
    with pytest.raises(ModelFileError, match="not loaded for safety"):
        load_model(tmp_path / "evil")


def test_other_versions_warn(tmp_path, classifier, monkeypatch):
    path = save(classifier, tmp_path)
    monkeypatch.setattr("fastmlp.export.model_file.__version__", "7.5.0")
    with pytest.warns(UserWarning, match=r"written with fastmlp .* read with 7\.5\.0") as caught:
        load_model(path)
    assert [warning.filename for warning in caught] == [__file__]


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), written_aside(path) as aside:
        aside.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with written_aside(path) as aside:
        aside.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
    path.chmod(0o640)
    with written_aside(path) as aside:
        aside.write_text("newer")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_are_followed(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with written_aside(tmp_path / "link") as aside:
        aside.write_text("content")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "content"


def test_paths_that_cannot_be_written(tmp_path):
    for path, message in {
        tmp_path: "this is a folder",
        tmp_path / "none" / "out": "there is no folder",
        Path(os.devnull): "no ordinary file",
    }.items():
        with pytest.raises(InputError, match=message):
            check_output(path)
        with pytest.raises(InputError, match=message), written_aside(path):
            pass
    check_output(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_folder_without_permission(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(InputError, match=r"cannot write in .*: Permission denied"):
        check_output(tmp_path / "out")
