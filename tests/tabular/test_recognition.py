"""What the first part of a file says: other formats, encodings, separators, first lines."""

import io
import pickle
import re
import sqlite3
import warnings
import zipfile

import numpy as np
import pandas as pd
import pytest

from fastmlp.exceptions import DataError, DataWarning
from fastmlp.tabular.csv import read_table


def read(content, **options):
    """Read a table from text or bytes, and tell what was remarked."""
    content = content if isinstance(content, bytes) else content.encode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        frame = read_table(io.BytesIO(content), **options)
    assert all(warning.category is DataWarning for warning in caught)
    return frame, [str(warning.message) for warning in caught]


def refused(content, **options):
    """Return the message of the error for a table."""
    with pytest.raises(DataError) as error:
        read(content, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


# ---- formats -----------------------------------------------------------------------------


def zipped(*names):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, "<content/>" * 20)
    return out.getvalue()


def saved(save, *args):
    out = io.BytesIO()
    save(out, *args)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "called"),
    [
        (b"PAR1\x15\x04\x15\x90" + bytes(range(256)) + b"PAR1", "a Parquet file"),
        (b"ARROW1\0\0" + bytes(60), "an Arrow .Feather. file"),
        (b"\xff\xff\xff\xff\x10\x01\0\0" + bytes(60), "an Arrow stream"),
        (b"FEA1\0\0\0\0" + bytes(60), "a Feather file"),
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "an Excel workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504), "an Excel workbook or another old"),
        (zipped("mimetype", "content.xml"), "a spreadsheet or another document of LibreOffice"),
        (zipped("word/document.xml", "docProps/app.xml"), "a Word document"),
        (zipped("schema.json", "1.npy"), "a model file"),
        (saved(lambda out: np.savez(out, a=np.eye(2), b=np.eye(3))), "an archive of NumPy arrays"),
        (saved(np.save, np.eye(3)), "a NumPy array"),
        (pickle.dumps({"a": [1, 2]}), "a Python pickle"),
        (b"\x89HDF\r\n\x1a\n" + bytes(60), "an HDF5 file"),
        (b"%PDF-1.7\n1 0 obj\n", "a PDF document"),
        (b"\x89PNG\r\n\x1a\n\0\0", "an image"),
        (b"7z\xbc\xaf\x27\x1c\0\x04", "a 7-Zip archive; unpack it"),
        (b'{"a": 1, "b": 2}\n{"a": 3, "b": 4}\n', "JSON"),
        (b'  [\n  {"a": 1},\n  {"a": 2}\n]', "JSON"),
        (b"[[1, 2], [3, 4]]", "JSON"),
        ('[{"a": 1}]'.encode("utf-16"), "JSON"),
        (b"[1, 2, 3]\n[4, 5, 6]\n", "JSON"),
        (b"\n<!DOCTYPE html>\n<html>", "an HTML page"),
        (b"<HTML><body>not found</body></HTML>", "an HTML page"),
        (b'\xef\xbb\xbf<?xml version="1.0"?><rows/>', "an XML file"),
        (b"@RELATION iris\n@ATTRIBUTE a NUMERIC\n@DATA\n1\n", "an ARFF file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "a pointer of Git LFS"),
    ],
)
def test_other_formats_are_named(content, called):
    message = refused(content)
    assert re.search(f"this is {called}", message), message


def test_sqlite(tmp_path):
    connection = sqlite3.connect(tmp_path / "t.csv")
    connection.execute("create table t (a, b)")
    connection.commit()
    connection.close()
    with pytest.raises(DataError, match="this is an SQLite database"):
        read_table(tmp_path / "t.csv")


@pytest.mark.parametrize(
    "header", ["PAR1,PAR2", "ORC,b", "[a],b", "{a},b", "<b>,c", '"{""x"": 1}",b', "BZh,b", "GIF8,b"]
)
def test_tables_with_names_like_other_formats(header):
    frame, remarks = read(f"{header}\n1,2\n3,4\n")
    assert frame.shape == (2, 2) and not remarks


# ---- encodings ---------------------------------------------------------------------------

WORDS = "name,size\nZürich,1\nłódź,2\n"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_marks_of_encodings(encoding):
    frame, remarks = read(WORDS.encode(encoding))
    assert list(frame) == ["name", "size"] and frame["name"][1] == "łódź" and not remarks
    with_mark = ("\ufeff" + WORDS).encode("utf-16-be")
    assert list(read(with_mark)[0]) == list(read(with_mark, encoding="utf-16-be")[0])
    assert list(read(WORDS.encode("utf-8-sig"), encoding="utf-8")[0]) == ["name", "size"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_text_without_a_mark(encoding):
    content = WORDS.encode(encoding)
    frame, remarks = read(content)
    assert frame["name"].tolist() == ["Zürich", "łódź"]
    assert len(remarks) == 1 and f"is read as {encoding} (name another with `enc" in remarks[0]
    assert read(content, encoding=encoding)[0]["name"][0] == "Zürich"


def test_older_encodings_of_latin_letters():
    for text, encoding in (("café", "latin-1"), ("5 €", "cp1252"), ("Ågren… Øst", "cp1252")):
        content = f"a,b\n{text},2\n".encode("cp1252")
        frame, remarks = read(content)
        assert frame["a"][0] == text == read(content, encoding=encoding)[0]["a"][0]
        assert len(remarks) == 1 and f"no utf-8 text, and is read as {encoding} (" in remarks[0]
    # Where the first letter with an accent is behind what is looked at first.
    content = b"a,b\n" + b"cafe,1\n" * 20_000 + "café,2\n".encode("latin-1")
    frame, remarks = read(content)
    assert frame["a"].tolist()[-2:] == ["cafe", "café"] and len(frame) == 20_001
    assert len(remarks) == 1 and "is read as latin-1" in remarks[0]


def test_proposals_for_text_that_is_not_utf_8():
    # Text of other scripts, and UTF-8 with an error in it, would become nonsense.
    for text in ("\u043d\u0438\u0437,b\n\u043d\u0438\u0437,1\n".encode("cp1251"),
                 "都市,値\n東京都,1\n".encode("shift-jis"),
                 "a,b\nZürich,1\n".encode() + b"caf\xe9,2\n"):  # fmt: skip
        assert re.search(r"for example encoding='(latin-1|cp1252)'$", refused(text))
    assert "encoding='utf-16'" in refused(WORDS.encode("utf-16"), encoding="utf-8")
    assert "not ascii text" in refused(WORDS, encoding="ascii")


def test_a_mark_that_contradicts_the_encoding():
    frame, remarks = read(WORDS.encode("utf-8-sig"), encoding="latin-1")
    assert "says that it is utf-8-sig; leave `encoding` out" in remarks[0] and len(frame) == 2


@pytest.mark.parametrize(
    "encoding",
    ["undefined", "rot13", "hex", "base64", "zlib", "klingon", "", "\0", "a\0b", "idna", "punycode",
     "unicode_escape", "raw_unicode_escape", "\udc80", "x" * 500],
)  # fmt: skip
def test_what_is_no_encoding_of_text(encoding):
    assert "there is no encoding" in refused("a,b\n1,2\n", encoding=encoding)


@pytest.mark.parametrize(
    "content",
    [
        bytes(range(256)) * 4, b"a,b\n1,\x002\n", b"\x01\x02\x03\x04" * 20,
        b"a,b\n" + b"1,2\n" * 100_000 + b"1,\x002\n", b"a\0,b\n1,2\n",
    ],
)  # fmt: skip
def test_binary_rubbish_is_no_text(content):
    assert "it is no text" in refused(content)


def test_zeros_in_other_encodings():
    assert "it is no text" in refused("a,b\n1,\0\n", encoding="latin-1")
    assert "it is no text" in refused("a,b\n1,x\0y\n".encode("utf-16"))


# ---- separators --------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_separators_are_recognised_and_said(separator):
    rows = [["weight", "wood", "value"], ["1,5", "oak", "2"], ["2,25", "ash, old", "3"]]
    text = "".join(separator.join(row) + "\n" for row in rows)
    frame, remarks = read(text)
    assert list(frame) == rows[0] and frame["wood"].tolist() == ["oak", "ash, old"]
    shown = "'tab'" if separator == "\t" else repr(separator)
    assert remarks == [f"the file: fields are separated by {shown}"]
    assert read(text, separator=separator)[1] == []


def test_names_of_files_with_tabs(tmp_path):
    for name in ("t.tsv", "T.TSV", "t.tab", "t.tsv.gz"):
        pd.DataFrame({"a": [1, 2], "b": ["x, y", "z"]}).to_csv(
            tmp_path / name, sep="\t", index=False
        )
        assert list(read_table(tmp_path / name)) == ["a", "b"]
    (tmp_path / "t.tsv").write_text("a,b\n1,2\n")  # in spite of its name
    with pytest.warns(DataWarning, match="fields are separated by ','"):
        assert list(read_table(tmp_path / "t.tsv")) == ["a", "b"]


@pytest.mark.parametrize(
    "text",
    [
        "a,tags\n1,x|y|z\n2,p|q|r\n3,s|t|u\n",
        "a,note\n1,hello; you\n2,what; ever\n",
        'a,b\n"1;2;3","x"\n"4;5;6","y"\n',
        'a;b,c\n1,"x;y"\n2,"z"\n',
        "a,b\tc\n1,x\ty\n2,z\n",
        'id,"long; name"\n1,2\n3,4\n',
        'text,y\n"one, two; three",1\n"four; five",2\n',
        "a,b\n1,2\n",
    ],
)
def test_tables_with_commas_stay_tables_with_commas(text):
    frame, remarks = read(text)
    pd.testing.assert_frame_equal(frame, pd.read_csv(io.StringIO(text)))
    assert remarks == []


def test_the_separator_that_excel_declares():
    frame, remarks = read("sep=;\na;b\n1;2,5\n")
    assert frame.iloc[0].tolist() == [1, "2,5"] and remarks == []
    assert "line 4: 3 fields" in refused("sep=;\na;b\n1;2\n1;2;3\n")


def test_a_single_column_where_there_would_be_several():
    for text, options, other in (
        ("a,b\n1,2\n", {"separator": ";"}, "','"),
        ("a;b\n1;2\n", {"separator": ","}, "';'"),
        ("a\tb\n1\t2\n", {"separator": ";"}, "'tab'"),
        ("a b\n1 2\n3 4\n", {}, "' '"),
        ("a:b\n1:2\n3:4\n", {}, "':'"),
    ):
        frame, remarks = read(text, **options)
        assert frame.shape[1] == 1
        assert remarks == [
            f"the file: there is a single column; with separator={other} there would be 2"
        ]
    for text in ("name\nAda Lovelace\nAlan Turing\n", "v\n1\n2\n", "full name\nA B\nC D\n"):
        frame, remarks = read(text)
        assert frame.shape == (2, 1) and remarks == []


def test_separators_that_cannot_be():
    for separator in ("", "::", "\n", '"', "\0", "é"):
        assert "single character of ASCII" in refused("a,b\n1,2\n", separator=separator)
    assert list(read("a\tb\n1\t2\n", separator="tab")[0]) == ["a", "b"]


# ---- first lines -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "0.5,12.25,oak,6.034\n0.7,13.5,oak,6.2\n-0.2,14,ash,2.7\n",
        "5.1,3.5\n4.9,3.0\n4.7,3.2\n",
        "red,small\nred,big\nblue,small\n",
        "1.5,NA,True\n2.5,3,False\n3.5,4,True\n",
        "7,oak,1990\n8,oak,1991\n9,ash,1992\n",
    ],
)
def test_a_first_line_of_data(text):
    found, remarks = read(text)
    assert len(remarks) == 1 and "the first line looks like data and is read so" in remarks[0]
    assert remarks[0].endswith("use header=True")
    frame, remarks = read(text, header=True)
    assert len(remarks) == 1 and "the first line looks like data" in remarks[0]
    assert "use header=False" in remarks[0]
    whole, remarks = read(text, header=False)
    assert len(whole) == len(frame) + 1 and remarks == []
    assert list(whole) == [str(i) for i in range(1, frame.shape[1] + 1)]
    pd.testing.assert_frame_equal(whole, found)


@pytest.mark.parametrize(
    "text",
    [
        "country,2001,2002\nDE,5,6\nFR,7,8\n",
        "2001,2002,2003\n4,5,6\n7,8,9\n",
        "0,1,2\n0.5,0.6,0.7\n",
        ",0\n0,1.5\n1,2.5\n",
        "a,b\n1,2\n",
        "name,town\nAda,London\nAlan,London\n",
        "1st,2nd\n1,2\n3,4\n",
    ],
)
def test_headers_that_are_none_of_data(text):
    assert read(text)[1] == []


def test_repeated_names_that_are_numbers():
    message = refused("1,5,1\n2,6,2\n", header=True)
    assert "column name '1' stands there more than once" in message and "header=False" in message
    assert "header=False" not in refused("a,5,a\n2,6,2\n")


def test_comments_above_the_header():
    frame, remarks = read("# logger 7, at noon\n# units: kg\nweight,value\n1,2\n3,4\n")
    assert list(frame) == ["weight", "value"] and len(frame) == 2
    assert remarks == ["the file: lines 1 to 2 are comments, left out: '# logger 7, at noon'"]
    assert "line 5: 3 fields" in refused("#x\n#y\na,b\n1,2\n1,2,3\n")
    assert read("# one\n1,2\n3,4\n", header=False)[0]["2"].tolist() == [2, 4]
    assert "only comments" in refused("# one\n# two\n")


@pytest.mark.parametrize("text", ["#a,b\n1,2\n3,4\n", "#a,b\nx,y\nz,w\n", '"#a",b\n1,2\n'])
def test_headers_that_begin_like_comments(text):
    frame, remarks = read(text)
    assert list(frame) == ["#a", "b"] and remarks == []
    frame, remarks = read("# of a survey\n#a,b\n1,2\n3,4\n")
    assert list(frame) == ["#a", "b"] and "line 1 is a comment" in remarks[0]


@pytest.mark.parametrize(
    "text",
    [
        "Report of 2024\n\nsize,value\n1,2\n3,4\n",
        "Report of 2024,,\na,b,c\n1,2,3\n4,5,6\n",
        "Report of 2024\nby someone\nsize,wood,value\n1,oak,2\n3,ash,4\n",
        "Report of 2024;;\na;b;c\n1;2,5;3\n4;5;6\n",
    ],
)
def test_titles_above_the_header(text):
    message = refused(text)
    assert "'Report of 2024', looks like a title above the names" in message


@pytest.mark.parametrize("name", ["size; cm", "size\tcm", "size|cm|mm"])
def test_a_single_column_may_have_a_separator_in_its_name(name):
    frame = read_table(io.StringIO(f"{name}\n1\n2\n3\n"))
    assert list(frame.columns) == [name] and frame[name].tolist() == [1, 2, 3]


def test_a_separator_does_not_break_quoted_fields():
    frame, _ = read("a;b,c;y\n" + "".join(f'{i % 7};"x,{i % 3}";{i}.5\n' for i in range(20)))
    assert list(frame) == ["a", "b,c", "y"] and frame["b,c"][1] == "x,1"
    # Marks of inches are in text alone.
    frame, remarks = read("pipe;x,y\n" + "".join(f'5"; steel,{i}\n' for i in range(20)))
    assert list(frame) == ["pipe;x", "y"] and not remarks


@pytest.mark.parametrize("separator", ["~", "^", " ", ":"])
def test_unusual_separators_are_named(separator):
    text = "a,b,y\n" + "".join(f"{i % 5},{i % 3},{i}\n" for i in range(9))
    _, remarks = read(text.replace(",", separator))
    assert remarks == [
        f"the file: there is a single column; with separator={separator!r} there would be 3"
    ]
    assert read(text.replace(",", separator), separator=separator)[0].shape == (9, 3)


def test_columns_that_blanks_align():
    _, remarks = read("a   b    y\n" + "".join(f"{i}   {i % 3}    {i}.5\n" for i in range(9)))
    assert len(remarks) == 1 and "leave only one of them in each place" in remarks[0]
    assert not read("names of people\nAnn  Ray\nBob Lee\n")[1]


def test_names_in_a_table_without_header():
    text = "size,wood\n" + "1.5,oak\n2,ash\n" * 9
    _, remarks = read(text, header=False)
    assert remarks == [
        "the file: the first line looks like names of columns rather than data (size, wood); if "
        "it is, use header=True"
    ]
    for first in ("1,ash\n", ",ash\n", "?,3\n"):
        assert not read(first + "1.5,oak\nx,ash\n", header=False)[1]
