"""A folder with a table, and a model of it."""

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


@pytest.fixture
def model(data):
    run("fit", "data.csv", *QUICK)
    return Path("data.fastmlp")
