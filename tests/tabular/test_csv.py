"""Reading CSV files."""

import gzip

import numpy as np
import pandas as pd
import pytest
from helpers import imported_by

from fastmlp.exceptions import DataError
from fastmlp.tabular.csv import read_table


def write(tmp_path, content, name="data.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("a,b,c\n", "a header but no row"),
        ("a,b,a\n1,2,3\n", "line 1: column name 'a' stands there more than once"),
        ("a,b\n1,2\n1,2,3\n", "line 3: 3 fields where the header has 2"),
        ("a,b,c\n1,2,3\n4,5\n", "line 3: 2 fields where the header has 3"),
        ("a,b\n1,2,3\n1,2,3\n", "line 2: 3 fields where the header has 2"),
        (b"n\xc3\xa4me,b\ncaf\xe9,2\n", "not utf-8 text.*for example encoding='latin-1'"),
        (b"\xc3\xa4,b\n1,2,3\n\xff,2\n", "not utf-8 text|line 2: 3 fields"),
        (b"\xc3\xa4,b\n1,2\n1,2,3\n\xff,2\n", "not utf-8 text|line 3: 3 fields"),
        (b"\x00\x01\x02\xff\xfe", "not utf-8 text|cannot be read|no row below it"),
        ("a,b\n1,2,3\n1,2\n", "line 2: 3 fields where the header has 2"),
        ('a,b\n1,"2\n3,4\n', "cannot be read as CSV"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, content, message):
    with pytest.raises(DataError, match=message) as error:
        read_table(write(tmp_path, content))
    assert "data.csv" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["data.csv.gz", "data.csv.bz2", "data.csv.xz", "data.csv.zip"])
def test_broken_archives(tmp_path, name):
    with pytest.raises(DataError, match="cannot be read"):
        read_table(write(tmp_path, "no archive", name))
    pd.DataFrame({"a": np.arange(5000) * 7919 % 5000, "b": 1.5}).to_csv(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    middle = len(whole) // 2
    for broken in (whole[:middle], whole[:middle] + bytes(200) + whole[middle + 200 :]):
        with pytest.raises(DataError, match="cannot be read"):
            read_table(write(tmp_path, broken, name))


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz"])
def test_short_rows_of_compressed_files(tmp_path, ending):
    path = tmp_path / f"data.csv{ending}"
    pd.Series(["1,2", "3"], name="a,b").to_csv(path, index=False, quoting=3, escapechar=None,
                                               sep=";")  # fmt: skip
    with pytest.raises(DataError, match="line 3: 1 field where the header has 2"):
        read_table(path)


def test_unknown_encoding_and_separator(tmp_path):
    path = write(tmp_path, "a,b\n1,2\n")
    with pytest.raises(DataError, match="no encoding 'klingon'"):
        read_table(path, encoding="klingon")
    with pytest.raises(DataError, match="single character"):
        read_table(path, separator="::")


def test_blank_lines_marks_and_nameless_columns(tmp_path):
    frame = read_table(write(tmp_path, "\ufeff,a ,\n0,1,x\n\n   \n1,2,\n"))
    assert list(frame) == ["Unnamed: 0", "a", "Unnamed: 2"]
    assert frame["a"].tolist() == [1, 2] and frame["Unnamed: 2"].isna().tolist() == [False, True]


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(DataError, match="folder"):
        read_table(tmp_path)


def test_reading_options(tmp_path):
    content = "name;x\ncaf\xe9;?\nbar;2\n".encode("latin-1")
    frame = read_table(write(tmp_path, content), separator=";", encoding="latin-1", na_values=["?"])
    assert list(frame["name"]) == ["café", "bar"] and np.isnan(frame["x"][0])
    packed = write(tmp_path, gzip.compress(b'a,b\n"1,5",\n2,x\n'), "data.csv.gz")
    frame = read_table(packed)
    assert list(frame["a"]) == ["1,5", "2"] and frame["b"].isna()[0]


def test_reading_waits_for_nothing_that_training_needs():
    assert not imported_by("import fastmlp.tabular.csv") & {"sklearn", "scipy", "numba"}
