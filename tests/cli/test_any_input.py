"""Random tables, bytes, options and model files: a command succeeds, or says why not in a line."""

import contextlib
import os
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from fastmlp_cli.main import main
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fastmlp import load_model

BOUNDED = settings(
    derandomize=True, database=None, deadline=None, max_examples=100,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip

# What the cells of a column are, by the number of their row.
KINDS = {
    "number": lambda i: f"{(i * 37 % 101) / 7:.3f}",
    "integer": lambda i: str(i * 7 % 13),
    "word": lambda i: ["red", "green", "blå"][i % 3],
    "truth": lambda i: str(i % 2 == 0),
    "constant": lambda i: "7",
    "identifier": lambda i: f"id-{i * 7919 % 1000}x",
    "huge": lambda i: f"{i % 7 - 3}e300",
    "long": lambda i: str(10**17 + i * 12345678901),
    "date": lambda i: f"2024-{i % 12 + 1:02}-{i % 28 + 1:02}",
    "missing": lambda i: "",
}
ODD = [
    "", " ", "NA", "nan", "inf", "-inf", "1e400", "1e38", "9" * 400, "-", "?", "0x1f", "1_000",
    "1,5", '"', '"a', 'a"b', "'", "a\nb", "\x00", "\x1b[2J", "\u202e", "=1+1", "é", "日本",
]  # fmt: skip
NAMES = ["a", "b", "", " ", "a b", "target", "Unnamed: 0", "1", "=x", "\x1b[2J", "probability_red"]
ENCODINGS = ["utf-8"] * 6 + ["latin-1", "utf-16", "utf-8-sig"]
ODD_CELLS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 5), st.sampled_from(ODD)), max_size=2
)
NOISE = st.lists(
    st.tuples(st.integers(0, 4000), st.sampled_from([b'"', b"\x00", b"\xff", b"\n", b",", b"\r"])),
    max_size=2,
)


@st.composite
def tables(draw):
    """The bytes of a table, which can be odd in any way, and the character between its fields."""
    kinds = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=4))
    target = draw(st.sampled_from(["word", "truth", "number", "integer", *KINDS]))
    kinds.append(target)
    n_rows = draw(st.sampled_from([40, 40, 40, 320, 10, 3, 1, 0]))
    rows = [[KINDS[kind](i) for kind in kinds] for i in range(n_rows)]
    is_odd = draw(st.integers(0, 2)) == 2
    for row, column, cell in draw(ODD_CELLS) if is_odd else ():
        if n_rows:  # where the column is beyond the last one, the row becomes longer
            rows[row % n_rows][column : column + 1] = [cell]
    names = [f"{draw(st.sampled_from(NAMES))}{i or ''}" for i in range(len(kinds))]
    separator = draw(st.sampled_from([",", ",", ",", ";", "\t"]))
    ending = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    text = "".join(separator.join(row) + ending for row in [names, *rows])
    content = text.encode(draw(st.sampled_from(ENCODINGS)) if is_odd else "utf-8", "replace")
    return noisy(content, draw(NOISE)) if is_odd else content, separator


def noisy(content, noise):
    """Bytes in which some are replaced, each at a place that is counted around."""
    changed = bytearray(content)
    for place, what in noise:
        if changed:
            changed[place % len(changed)] = what[0]
    return bytes(changed)


FIT_OPTIONS = [
    ["--target", "a"], ["--target", ""], ["--task", "regression"], ["--task", "classification"],
    ["--hidden", ""], ["--hidden", "3,2"], ["--hidden", "0"], ["--hidden", "9" * 30],
    ["--hidden", "1000000,1000000"], ["--activation", "tanh,relu"], ["--activation", ""],
    ["--batch-size", "1"], ["--batch-size", "100000"], ["--learning-rate", "nan"],
    ["--learning-rate", "1e300"], ["--alpha", "inf"], ["--alpha", "1e300"], ["--early-stopping"],
    ["--class-weight", "balanced"], ["--test-size", "0"], ["--test-size", "0.99"],
    ["--test-size", "nan"], ["--seed", "4294967295"], ["--jobs", "1000000000"], ["--quiet"],
    ["--json"], ["--na", "?"], ["--na", ""], ["--sep", "ab"], ["--sep", '"'], ["--sep", "1"],
    ["--sep", "\n"], ["--encoding", "latin-1"], ["--encoding", "utf-16"], ["--encoding", "cp037"],
    ["--encoding", "nope"], ["--encoding", ""], ["-o", "."], ["-o", "d.csv"], ["-o", ""],
    ["--set", "dropout=[[["], ["--set", "dropout=" + "-" * 5000 + "1"], ["--set", "=x"],
    ["--set", "solver=lbfgs"], ["--set", "solver=sgd"], ["--set", "loss=poisson"],
    ["--set", "loss=quantile"], ["--set", "quantiles=[0.1, 0.9]"], ["--set", "tol=NaN"],
    ["--set", "max_norm=" + "9" * 400], ["--set", "clip_norm={}"], ["--set", "init=he_normal"],
    ["--set", "label_smoothing=0.1"], ["--set", "swa_start=1"], ["--set", "frame=1"],
    ["--set", "scoring=accuracy"], ["--set", "n_jobs=1"], ["--set", "momentum=[1]"],
    ["--set", "power_t=\x1b"], ["\x1b"], ["--\x1b"],
]  # fmt: skip
OPTIONS = st.just([]) | st.lists(st.sampled_from(FIT_OPTIONS), max_size=2)
USES = [
    ["predict", "m.fastmlp", "DATA"], ["predict", "m.fastmlp", "DATA", "--proba"],
    ["predict", "m.fastmlp", "DATA", "--json"], ["predict", "m.fastmlp", "DATA", "-o", "p.csv"],
    ["predict", "DATA", "m.fastmlp"], ["evaluate", "m.fastmlp", "DATA"],
    ["evaluate", "m.fastmlp", "DATA", "--json"], ["info", "m.fastmlp"],
    ["info", "m.fastmlp", "--json"], ["export", "m.fastmlp", "o.onnx"],
]  # fmt: skip


@contextlib.contextmanager
def in_an_empty_folder():
    """An empty working directory. What is left there at the end must be whole."""
    former = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
            names = {path.name for path in Path().iterdir()}
            assert names <= {"d.csv", "e.csv", "m.fastmlp", "x.fastmlp", "p.csv", "o.onnx"}
            if "m.fastmlp" in names:
                load_model("m.fastmlp")
        finally:
            os.chdir(former)


def ends_well(args):
    """Run a command; it must succeed, or refuse its input in an orderly way."""
    result = CliRunner().invoke(main, args)
    shown = result.output
    assert result.exit_code in (0, 2), (args, shown[-600:])
    assert isinstance(result.exception, SystemExit | None), (args, result.exception)
    assert "Traceback" not in shown and "internal error" not in shown
    assert result.exit_code == 0 or (result.stdout == "" and result.stderr)
    assert all(line.isprintable() for line in result.stderr.split("\n"))
    return result.exit_code


@BOUNDED
@given(
    tables(), tables(), OPTIONS,
    st.lists(st.sampled_from(USES), min_size=1, max_size=3), st.booleans(),
)  # fmt: skip
def test_any_table_and_options(table, other, options, uses, is_other):
    with in_an_empty_folder():
        Path("d.csv").write_bytes(table[0])
        Path("e.csv").write_bytes(other[0])
        separator = ["--sep", table[1]] if table[1] != "," else []
        quick = ["--epochs", "2", "--hidden", "3", "-o", "m.fastmlp"]
        options = [word for option in options for word in option]
        code = ends_well(["fit", "d.csv", *separator, *quick, *options])
        assert code or Path("m.fastmlp").exists() or "-o" in options
        if not Path("m.fastmlp").exists():
            return
        for use in uses:
            words = [("e.csv" if is_other else "d.csv") if w == "DATA" else w for w in use]
            ends_well([*words, *(separator if "DATA" in use else [])])


@pytest.fixture(scope="module")
def whole_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    lines = ["a,b,t", *(f"{i * 7 % 11},{'xyz'[i % 3]},{'pq'[i % 2]}" for i in range(60))]
    (folder / "d.csv").write_text("\n".join(lines))
    paths = [str(folder / name) for name in ("d.csv", "m.fastmlp")]
    assert ends_well(["fit", paths[0], "-o", paths[1], "--epochs", "1", "--hidden", "3"]) == 0
    return [Path(path).read_bytes() for path in paths]


@BOUNDED
@given(
    st.lists(st.tuples(st.integers(0, 40_000), st.binary(min_size=1, max_size=4)), max_size=3),
    st.integers(0, 40_000), st.sampled_from(USES),
)  # fmt: skip
@example([], 0, USES[0])
@example([], 40_000, USES[7])
def test_any_bytes_as_a_model(whole_model, noise, length, use):
    """Bytes of a model are replaced, and a file of another length is left of it."""
    table, content = whole_model
    changed = bytearray(content[: length or None])
    for place, what in noise:
        if changed:
            start = place % len(changed)
            changed[start : start + len(what)] = what
    with in_an_empty_folder():
        Path("d.csv").write_bytes(table)
        Path("x.fastmlp").write_bytes(changed)
        words = {"DATA": "d.csv", "m.fastmlp": "x.fastmlp"}
        ends_well([words.get(word, word) for word in use])
        assert Path("x.fastmlp").read_bytes() == changed
