"""A folder with a table, and a model of it."""

import contextlib
from pathlib import Path

import pytest
from commands import QUICK, run


@pytest.fixture(autouse=True)
def no_forced_colours(monkeypatch):
    """Continuous integration may ask all programs for colours."""
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working directory of a test: empty but for data.csv of people."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def data(here, people):
    people.to_csv("data.csv", index=False)
    return people


@pytest.fixture(scope="session")
def model_of_people(table_of_people, tmp_path_factory):
    """The bytes of the model file that a fit of data.csv writes."""
    with contextlib.chdir(tmp_path_factory.mktemp("people")):
        table_of_people.to_csv("data.csv", index=False)
        run("fit", "data.csv", *QUICK)
        return Path("data.fastmlp").read_bytes()


@pytest.fixture
def model(data, model_of_people):
    """The model file data.fastmlp, of data.csv."""
    Path("data.fastmlp").write_bytes(model_of_people)
    return Path("data.fastmlp")
