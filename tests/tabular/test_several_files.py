"""Several files as one table, patterns of names, and Parquet."""

import gzip
import io
import sys
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from fastmlp import DataWarning
from fastmlp.exceptions import DataError
from fastmlp.tabular.csv import how_read, read_table
from fastmlp.tabular.paths import files_of


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(**files):
    """Write files called by the names of the arguments, where _ stands for a point."""
    for name, text in files.items():
        with open(name.replace("_", "."), "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())


# ---- several files -----------------------------------------------------------------------


def test_a_pattern_is_all_files_that_fit(here):
    write(b_csv="x,y\n3,c\n", a_csv=gzip.compress(b"x,y\n1,a\n2,b\n"), other_txt="z\n1\n")
    (here / "c.csv").mkdir()
    frame = read_table("*.csv")
    assert frame["x"].tolist() == [1, 2, 3] and frame["y"].tolist() == ["a", "b", "c"]
    assert frame["x"].dtype == np.int64 and frame.index.tolist() == [0, 1, 2]
    assert how_read(frame)["n_columns"] == 2
    pd.testing.assert_frame_equal(read_table([here / "a.csv", "b.csv"]), frame)
    pd.testing.assert_frame_equal(read_table("[ab].*"), frame)
    mixed = read_table(["b.csv", io.StringIO("x,y\n5,d\n")])
    assert mixed["x"].tolist() == [3, 5]


def test_a_file_with_the_name_of_a_pattern(here):
    (here / "data[1].csv").write_text("x,y\n1,2\n")
    (here / "data1.csv").write_text("x,y\n3,4\n")
    assert read_table("data[1].csv")["x"].tolist() == [1]
    assert read_table("data[0-9].csv")["x"].tolist() == [3]


def test_patterns_that_fit_nothing():
    with pytest.raises(DataError, match=r"^none-\*\.csv: there is no such file, and none whose"):
        read_table("none-*.csv")
    with pytest.raises(DataError, match="no file is named"):
        read_table([])
    assert files_of("a\0*") == ["a\0*"] and files_of("s3://b/*.csv") == ["s3://b/*.csv"]


def test_files_of_one_table_have_the_same_columns(here):
    write(a_csv="x,y\n1,2\n", b_csv="y,x\n3,4\n", c_csv="x,z,y\n1,2,3\n", d_csv="x\n1\n")
    assert read_table(["a.csv", "b.csv"])["x"].tolist() == [1, 4]
    with pytest.raises(
        DataError, match=r"^c\.csv: .* those of a\.csv: there is 'z' in c\.csv, and "
    ):
        read_table(["a.csv", "b.csv", "c.csv"])
    with pytest.raises(DataError, match=r"^d\.csv: .* there is 'y' in a\.csv, and not in d\.csv"):
        read_table(["a.csv", "d.csv"])
    # The last column of the first file is the target in all of them.
    target = read_table(["a.csv", "b.csv"]).columns[-1]
    assert target == "y"


def test_types_are_decided_for_all_files(here):
    """A column is read as in one file with all rows: 007 stays where others are text."""
    head = "code,size,flag,gone,y\n"
    parts = ["007,1,true,,1\n012,2,false,,2\n", "A1,2.5,,,1\n", "5,,true,late,2\n"]
    write(a_csv=head + parts[0], b_csv=head + parts[1], c_csv=head + parts[2], e_csv=head)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        frame = read_table(["a.csv", "e.csv", "b.csv", "c.csv"])
        whole = read_table(io.StringIO(head + "".join(parts)))
    pd.testing.assert_frame_equal(frame, whole)
    assert frame["code"].tolist() == ["007", "012", "A1", "5"]
    write(f_csv="x,y\n1,NA\n", g_csv="x,y\n2,b\n")
    record = how_read(read_table(["g.csv", "f.csv"], target="y"))
    assert record["missing_word"] == ["y", "NA", 2]
    with pytest.raises(DataError, match=r"e\.csv and 1 more: there is a header but no row"):
        read_table(["e.csv", "e.csv"])
    assert len(read_table(["e.csv", "e.csv"], allow_empty=True)) == 0


# ---- Parquet -----------------------------------------------------------------------------

FRAME = pd.DataFrame(
    {
        "n": [1, 2, 3, 4],
        "gap": [1.5, None, 2.5, 3.5],
        "text": ["007", None, "?", "b"],
        "truth": pd.array([True, None, False, True], dtype="boolean"),
        "kind": pd.Categorical(["u", "v", "u", "u"]),
        "price": [Decimal("1.10"), Decimal("2.20"), None, Decimal("3.30")],
        "when": pd.to_datetime(["2024-01-01", "2024-01-02", None, "2024-02-03"]),
    }
)


def test_parquet(here):
    pytest.importorskip("pyarrow")
    FRAME.set_index(pd.Index([5, 6, 7, 8])).to_parquet("t.parquet")
    frame = read_table("t.parquet", na_values="?")
    assert list(frame) == list(FRAME) and frame.index.tolist() == [0, 1, 2, 3]
    assert frame["n"].tolist() == [1, 2, 3, 4] and frame["text"][0] == "007"
    assert frame["text"].isna().tolist() == [False, True, True, False]
    assert frame["truth"].dtype == "boolean" and frame["price"][1] == Decimal("2.20")
    record = how_read(frame)
    assert record["na_values"] == ["?"] and record["header"] is True
    frame = read_table("t.parquet", drop="kind", text=["n", "text"])
    assert frame["n"].tolist() == ["1", "2", "3", "4"] and "kind" not in frame
    (here / "t.parquet.gz").write_bytes(gzip.compress((here / "t.parquet").read_bytes()))
    assert len(read_table(["t.parquet", "t.parquet.gz"])) == 8
    with open("t.parquet", "rb") as file:
        assert len(read_table(file)) == 4


def test_parquet_that_cannot_be_read(here):
    pytest.importorskip("pyarrow")
    FRAME.to_parquet("t.parquet")
    content = (here / "t.parquet").read_bytes()
    for cut in (content[:300], content[:-30], content[:100] + bytes(50) + content[150:]):
        write(cut_parquet=cut)
        with pytest.raises(DataError, match=r"^cut\.parquet: this is a Parquet file that cannot"):
            read_table("cut.parquet")
    with pytest.raises(DataError, match="no column 'x' for `drop`; the columns are 'n', 'gap'"):
        read_table("t.parquet", drop="x")
    with pytest.raises(DataError, match="column 'n' is the target"):
        read_table("t.parquet", drop="n", target="n")
    FRAME.iloc[:0].to_parquet("empty.parquet")
    with pytest.raises(DataError, match=r"^empty\.parquet: there is a header but no row"):
        read_table("empty.parquet")
    assert list(read_table("empty.parquet", allow_empty=True)) == list(FRAME)


def test_parquet_without_its_package(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    write(t_parquet=b"PAR1\x15\x04\x15\x90" + bytes(range(256)) + b"PAR1")
    with pytest.raises(DataError, match=r"^t\.parquet: .*pip install 'fastmlp\[parquet\]'$"):
        read_table("t.parquet")
