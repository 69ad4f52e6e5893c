"""Remarks on a table come once each on standard error, and ``--quiet`` silences them."""

import numpy as np
import pytest
from click.testing import CliRunner
from fastmlp_cli.main import main


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    lines = ["Id;price;mark;level;y"]
    for i in range(80):
        mark = "?" if i % 20 == 0 else str(i % 37)
        level = ("low", "mid", "top")[i % 3]
        y = rng.normal() + i % 3
        lines.append(f"{i + 1};{1000 + 13 * i:,};{mark};{level};{y:.4f}")
    path = tmp_path / "data.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def run(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


def test_each_remark_is_shown_once(data, tmp_path):
    model = tmp_path / "m.fastmlp"
    fit = ("fit", data, "--sep", ";", "--epochs", 2, "--hidden", "4", "-o", model)
    shown = run(*fit)
    assert shown.exit_code == 0
    for remark in (
        "column 'price' is read as numbers: '1,",
        "column 'mark' is taken as text, but most rows are numbers; if '?' (4 rows) means missing, "
        "say so with --na '?'",
        "dropped 1 column, numbers of rows, in their order: Id",
    ):
        assert shown.stderr.count(remark) == 1
    assert "column" not in run(*fit, "--quiet").stderr
    used = run("evaluate", model, data, "--sep", ";")
    assert used.exit_code == 0 and used.stderr.count("\n") == 1
    assert "was trained on about 80 % of these rows" in used.stderr
    data.write_text(
        data.read_text().replace("mid", "MID").replace("low", "LOW").replace("top", "TOP")
    )
    for command in ("evaluate", "predict"):
        warned = run(command, model, data, "--sep", ";")
        assert warned.exit_code == 0
        assert warned.stderr.count("column 'level' has no value that the model knows") == 1
