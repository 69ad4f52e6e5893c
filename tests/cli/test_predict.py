"""``fastmlp predict``: columns that are kept, formats of the output, and outputs that fail."""

import bz2
import gzip
import lzma
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import QUICK, fails, run

from fastmlp.tabular import chunks, writing


@pytest.fixture
def formulas(here):
    """A model and a table with cells that spreadsheets run."""
    rows = [f"{i},{('=1+1', '@sum', '-x', 'plain')[i % 4]},{i}.5" for i in range(80)]
    Path("t.csv").write_text("\n".join(["size,=cmd,value", *rows]) + "\n")
    run("fit", "t.csv", *QUICK, "--task", "regression")
    run("fit", "t.csv", *QUICK, "--target", "=cmd", "-o", "class.fastmlp")
    return here


def test_columns_are_kept(data, model, monkeypatch):
    plain = run("predict", model, "data.csv").stdout.splitlines()
    shown = run("predict", model, "data.csv", "--keep", "name", "--keep", "class").stdout
    assert shown.startswith("name,class,class_predicted\n")
    assert [line.rpartition(",")[2] for line in shown.splitlines()[1:]] == plain[1:]
    monkeypatch.setattr(chunks, "ROWS_AT_ONCE", 7)
    assert run("predict", model, "data.csv", "--keep", "name", "--keep", "class").stdout == shown
    message = fails("predict", model, "data.csv", "--keep", "colour")
    assert "data.csv: there is no column 'colour' for --keep; the columns are 'age', " in message


def test_formats_of_the_output(data, model):
    text = run("predict", model, "data.csv", "--proba").stdout
    for ending, opened in {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}.items():
        run("predict", model, "data.csv", "--proba", "-o", f"out.csv{ending}")
        with opened(f"out.csv{ending}", "rt") as file:
            assert file.read() == text
    before = Path("out.csv.gz").read_bytes()
    run("predict", model, "data.csv", "--proba", "-o", "other.csv.gz")
    assert Path("other.csv.gz").read_bytes() == before
    shown = run("predict", model, "data.csv", "--json", "-o", "out.csv").stdout
    assert shown.startswith('{\n  "predictions": [') and len(pd.read_csv("out.csv")) == 120


def test_parquet_out(data, model):
    pytest.importorskip("pyarrow")
    run("predict", model, "data.csv", "--keep", "age", "--proba", "-o", "out.parquet")
    frame = pd.read_parquet("out.parquet")
    text = run("predict", model, "data.csv", "--keep", "age", "--proba").stdout
    assert frame.to_csv(index=False) == text.replace("\r\n", "\n")
    data.to_parquet("data.parquet")
    run("predict", model, "data.parquet", "--keep", "age", "-o", "again.parquet")
    again = pd.read_parquet("again.parquet")
    assert again["class"].tolist() == frame["class"].tolist()
    assert again["age"].tolist() == data["age"].tolist() or data["age"].isna().any()


def test_zstandard_out(data, model):
    pytest.importorskip("zstandard")
    run("predict", model, "data.csv", "-o", "out.csv.zst")
    assert (
        pd.read_csv("out.csv.zst").to_csv(index=False) == run("predict", model, "data.csv").stdout
    )


def test_formats_without_their_packages(data, model, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    before = sorted(Path().iterdir())
    message = fails("predict", model, "data.csv", "-o", "out.parquet")
    assert "out.parquet" in message and "pip install 'fastmlp[parquet]'" in message
    assert "pip install 'fastmlp[zst]'" in fails("predict", model, "data.csv", "-o", "out.csv.zst")
    assert sorted(Path().iterdir()) == before


def test_formulas_can_be_made_harmless(formulas):
    keep = ("--keep", "=cmd", "--keep", "size")
    plain = run("predict", "t.fastmlp", "t.csv", *keep).stdout.splitlines()
    assert plain[0] == "=cmd,size,value" and plain[1].startswith("=1+1,0,")
    safe = run("predict", "t.fastmlp", "t.csv", *keep, "--safe-csv").stdout.splitlines()
    assert safe[0] == "'=cmd,size,value"
    assert [line.replace("'", "") for line in safe] == plain
    assert [line[:2] for line in safe[1:5]] == ["'=", "'@", "'-", "pl"]
    classes = run("predict", "class.fastmlp", "t.csv", "--safe-csv").stdout.splitlines()
    assert classes[0] == "'=cmd" and {line[0] for line in classes[1:]} <= {"'", "p"}
    run("predict", "class.fastmlp", "t.csv", "--safe-csv", "-o", "out.csv")
    assert Path("out.csv").read_text().splitlines() == classes


def test_what_is_a_formula():
    cells = ["=1", "+a", "-a", "@a", "\ta", "\ra", "-1.5", "+2", "-1,5e3", "a=1", "", "1"]
    frame = pd.DataFrame({"-x": cells, "n": -1.5, "m": [None, *["-"] * 11]})
    safe = writing.without_formulas(frame)
    assert list(safe) == ["'-x", "n", "m"]
    assert safe["'-x"].tolist() == [*(f"'{cell}" for cell in cells[:6]), *cells[6:]]
    assert safe["n"].tolist() == [-1.5] * 12 and safe["m"].tolist()[1:] == ["'-"] * 11
    assert list(frame) == ["-x", "n", "m"] and frame["-x"].tolist() == cells


def test_the_output_appears_whole_or_not_at_all(data, model, monkeypatch):
    """A later row that cannot be read leaves the file of before, and nothing else."""
    monkeypatch.setattr(chunks, "ROWS_AT_ONCE", 10)
    text = Path("data.csv").read_text().splitlines(keepends=True)
    Path("bad.csv").write_text("".join([*text[:100], text[100].strip() + ",9\n", *text[101:]]))
    Path("out.csv").write_text("before")
    for name in ("out.csv", "new.csv.gz"):
        message = fails("predict", model, "bad.csv", "-o", name)
        assert message.startswith("fastmlp: bad.csv, line 101: ")
    assert Path("out.csv").read_text() == "before" and not Path("new.csv.gz").exists()
    assert not [path for path in Path().iterdir() if ".part" in path.name]
    # What is printed cannot be taken back.
    result = run("predict", model, "bad.csv", code=2)
    assert len(result.stdout.splitlines()) > 50 and "line 101" in result.stderr


@pytest.mark.skipif(os.name == "nt", reason="needs a shell")
def test_a_reader_that_has_enough(data, model):
    words = f"{sys.executable} -m fastmlp_cli predict {model} data.csv - < data.csv | head -1"
    done = subprocess.run(["sh", "-c", words], capture_output=True, text=True)
    assert done.stdout == "class\n" and done.stderr == ""


def test_memory_does_not_grow_with_the_table(here, monkeypatch):
    monkeypatch.setattr(chunks, "ROWS_AT_ONCE", 5000)
    rows = [f"{i % 100},{'abc'[i % 3]},{i % 7}\n" for i in range(240_000)]
    for name, n_rows in {"small": 60_000, "large": 240_000}.items():
        Path(f"{name}.csv").write_text("".join(["x,kind,y\n", *rows[:n_rows]]))
    run("fit", "small.csv", *QUICK, "--epochs", "1", "--task", "regression", "-o", "m.fastmlp")
    run("predict", "m.fastmlp", "small.csv", "-o", "out.csv")
    peaks = []
    for name in ("small", "large"):
        tracemalloc.start()
        run("predict", "m.fastmlp", f"{name}.csv", "-o", "out.csv")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert len(pd.read_csv("out.csv")) == 240_000
    assert peaks[1] < 1.5 * peaks[0], peaks


def test_text_of_csv_is_that_of_pandas():
    rng = np.random.default_rng(0)
    numbers = np.concatenate([rng.normal(size=200) * 10.0 ** rng.integers(-30, 30, 200), [1e16, 3]])
    texts = ['a,"b"', "two\nlines", "", "é"] * 50 + ["x", "NA"]
    columns = {
        "f": numbers, "g": numbers.astype(np.float32), "i": np.arange(202), "b": numbers > 0,
        "t": texts, "o": pd.Series(texts, dtype=object), "k": pd.Categorical(texts),
        "m": [None, *texts[1:]], "n": [np.nan, *numbers[1:]], "mixed": [1, *texts[1:]], 5: 1.0,
    }  # fmt: skip
    frame = pd.DataFrame(columns)
    for names in ([name] for name in columns), [["f", "i", "b", "t"]], [list(columns)]:
        for chosen in names:
            part = frame[chosen]
            expected = part.to_csv(index=False, lineterminator="\n")
            assert writing.csv_text(part, header=True) == expected
            assert expected.endswith(writing.csv_text(part, header=False))


def test_a_column_that_is_called_otherwise_is_named(data, model):
    """Rows that are read in parts have only what the model knows, unless some of it is missing."""
    pytest.importorskip("pyarrow")
    renamed = data.rename(columns={"age": "Age"})
    renamed.to_csv("renamed.csv", index=False)
    renamed.to_parquet("renamed.parquet")
    for name in ("renamed.csv", "renamed.parquet"):
        message = fails("predict", model, name)
        assert message.startswith(f"fastmlp: {name}: ") and "may be its column 'Age'" in message


def test_errors_name_the_line_where_rows_have_one(data, model):
    lines = Path("data.csv").read_text().splitlines()
    place = lines[0].split(",").index("age")
    cells = lines[10].split(",")
    lines[10] = ",".join([*cells[:place], "inf", *cells[place + 1 :]])
    Path("odd.csv").write_text("\n".join(lines) + "\n")
    assert "in row 10 (line 11)" in fails("predict", model, "odd.csv")
    Path("odd.csv").write_text("# a comment\n" + "\n".join(lines) + "\n")
    assert "in row 10 (line 12)" in fails("predict", model, "odd.csv", "--quiet")
