"""What becomes of the fields of a table: codes, marks, blanks, quotes and decimal marks."""

import io
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_recognition import read, refused

from fastmlp.exceptions import DataError, DataWarning
from fastmlp.tabular.csv import read_table

# ---- codes -------------------------------------------------------------------------------

CODES = ["01", "02", "07"]


def coded(codes, quoted=False):
    """Return a table whose last column has the codes in turn."""
    mark = '"' if quoted else ""
    rows = (f"{i},{mark}{codes[i % len(codes)]}{mark}\n" for i in range(60))
    return "size,code\n" + "".join(rows)


@pytest.mark.parametrize(
    "codes", [CODES, ["00", "0"], ["1", "010", "2"], ["+1", "-1"], ["007"] * 3]
)
@pytest.mark.parametrize("quoted", [False, True])
def test_codes_of_classes_stand_as_in_the_file(codes, quoted):
    frame, remarks = read(coded(codes, quoted))
    if len(set(codes)) == 1:
        codes = [codes[0]]
    assert frame["code"].tolist() == [codes[i % len(codes)] for i in range(60)]
    assert frame["size"].dtype == np.int64 and remarks == []


def test_codes_of_a_target_that_is_not_the_last_column():
    text = "code,size\n" + "".join(f"{CODES[i % 3]} ,{i}\n" for i in range(60))
    assert read(text, target="code")[0]["code"].tolist()[:3] == CODES
    frame, remarks = read(text, target="size")
    assert frame["code"].tolist()[:3] == [1, 2, 7]
    assert remarks == [
        "the file: column 'code' is read as numbers, '01' as well; if these are codes, use "
        "text=['code']"
    ]
    frame, remarks = read(text, target="size", text=["code"])
    assert frame["code"].tolist()[:3] == CODES and remarks == []


def test_codes_of_a_target_before_columns_that_are_left_out():
    text = "size,code,note\n" + "".join(f"{i},{CODES[i % 3]},{i}\n" for i in range(60))
    frame, remarks = read(text, drop=["note"])
    assert frame["code"].tolist()[:3] == CODES and remarks == []


def test_codes_that_are_seen_late():
    rows = [f"{i},{99 - i // 1000:02d}\n" for i in range(100_000)]
    frame, _ = read("size,code\n" + "".join(rows), task="classification")
    assert frame["code"].iloc[-1] == "00" and frame["code"].iloc[0] == "99"


def test_numbers_of_a_regression_are_no_codes():
    assert read(coded(CODES), task="regression")[0]["code"].tolist()[:3] == [1, 2, 7]
    many = [f"{i:03d}" for i in range(60)]
    frame, remarks = read(coded(many))
    assert frame["code"].tolist() == list(range(60)) and "text=['code']" in remarks[0]
    assert read(coded(many), task="classification")[0]["code"].tolist() == many


@pytest.mark.parametrize(
    "values",
    [
        ["0.5", "01.5"], ["1e-05", "2"], ["2020-01-02", "x"], ["0", "10"], ["-0.5", "0"],
        ["01/02/2020", "03/04/2020"],
    ],
)  # fmt: skip
def test_what_looks_like_codes_and_is_none(values):
    frame, remarks = read(coded(values))
    pd.testing.assert_frame_equal(frame, pd.read_csv(io.StringIO(coded(values))))
    assert remarks == []


def test_long_integers():
    for ids in ([2**53 + 1, 2**53 + 3], [10**19, 10**19 + 1], [10**24, 10**24 + 1]):
        text = "id,y\n" + "".join(f"{n},{i}\n" for i, n in enumerate(ids * 5))
        frame, remarks = read(text)
        assert pd.api.types.is_numeric_dtype(frame["id"])
        assert "column 'id' has integers of more than 15 digits" in remarks[0]
        assert read(text, text=["id"])[0]["id"].tolist()[:2] == list(map(str, ids))
        frame, remarks = read(text, drop=["id"])
        assert list(frame) == ["y"] and remarks == []


# ---- columns that are text, or left out --------------------------------------------------


def test_text_stays_as_it_stands():
    frame, _ = read("a,b,y\n007,NA,1\n+5,,2\n1e3, None ,3\n", text=["a", "b"])
    assert frame["a"].tolist() == ["007", "+5", "1e3"]
    assert frame["b"].isna().tolist() == [False, True, False] and frame["b"][2] == "None"
    frame, _ = read("a,y\n?,1\nNA,2\n", text=["a"], na_values=["?"])
    assert frame["a"].isna().tolist() == [True, False]


def test_columns_that_are_left_out():
    frame, _ = read("Id,a,y\n1,2,3\n2,3,4\n", drop=["Id"])
    assert list(frame) == ["a", "y"]
    assert refused("a,b\n1,2\n", drop=["c"]).endswith(
        "there is no column 'c' for `drop`; the columns are 'a', 'b'"
    )
    assert "no column 'c' for `text`" in refused("a,b\n1,2\n", text=["c"])
    assert "no column is left" in refused("a,b\n1,2\n", drop=["a", "b"])
    frame, _ = read("1,2,3\n4,5,6\n", header=False, drop=["2"], text=["3"])
    assert list(frame) == ["1", "3"] and frame["3"].tolist() == ["3", "6"]


def test_a_single_name_or_mark_needs_no_list():
    frame, _ = read("id,i,d,y\n007,1,2,3\n008,1,9,-9\n", text="id", drop="i", na_values="-9")
    assert frame["id"].tolist() == ["007", "008"] and list(frame) == ["id", "d", "y"]
    assert frame["d"].tolist() == [2, 9] and frame["y"].isna().tolist() == [False, True]
    assert frame.attrs["reading"]["na_values"] == ["-9"]


def test_tasks_that_there_are():
    with pytest.raises(ValueError, match="got 'regress'"):
        read("a,b\n1,2\n", task="regress")


# ---- missing values and blanks -----------------------------------------------------------


def test_a_word_that_is_missing_beside_empty_fields():
    _, remarks = read("country,y\nNA,1\n,2\nBW,3\n")
    assert remarks == [
        "the file: column 'country': the text 'NA' is read as missing, as empty fields are; if it "
        "is a value, use text=['country']"
    ]
    assert read("country,y\nNA,1\nZA,2\nBW,3\n")[1] == read("country,y\nBW,1\n,2\n")[1] == []


def test_the_word_in_a_target_is_recorded():
    frame, _ = read("a,land\n1,BW\n2,NA\n3,\n")
    assert frame.attrs["reading"]["missing_word"] == ["land", "NA", 2]
    assert "missing_word" not in read("a,land\n1,BW\n2,\n")[0].attrs["reading"]


def test_blanks_around_values_are_no_part_of_them():
    frame, remarks = read('a , b,"c "\n red ,1 , True\nblue\t, NA ,False \n\u00a0red,  ,\n')
    assert list(frame) == ["a", "b", "c"] and remarks == []
    assert frame["a"].tolist() == ["red", "blue", "red"]
    assert frame["b"].isna().tolist() == [False, True, True] and frame["b"][0] == 1
    assert frame["c"].dtype == "boolean" and frame["c"].isna().tolist() == [False, False, True]
    frame, _ = read('a,b\n1, "x, y" \n')
    assert frame["b"].tolist() == ["x, y"]
    frame, _ = read("a,b\n? ,1\n2 ,2\n", na_values=["?"])
    assert frame["a"].isna().tolist() == [True, False] and frame["a"][1] == 2
    frame, _ = read("a\tb\n x\t1\ny \t2\n", separator="tab")
    assert frame["a"].tolist() == ["x", "y"]


# ---- decimal marks -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "decimal", "numbers"),
    [
        (["0,5", "-1,25", "3"], ",", [0.5, -1.25, 3]),
        (["1.234,5", "12.345.678", "-0,5"], ",", [1234.5, 12345678, -0.5]),
        (["1 234,5", "1\u00a0234", "1\u202f234,0"], ",", [1234.5, 1234, 1234]),
        (["1'234,5", "1,5e3", ",5"], ",", [1234.5, 1500, 0.5]),
        (["1,234.5", "2,000", "1.5"], ".", [1234.5, 2000, 1.5]),
        (["1.500", "2,5", ""], ",", [1500, 2.5, np.nan]),
    ],
)
@pytest.mark.parametrize("separator", [";", ","])
def test_decimal_marks(fields, decimal, numbers, separator):
    text = f"a{separator}y\n" + "".join(f'"{field}"{separator}1\n' for field in fields)
    frame, _ = read(text, decimal=decimal)
    np.testing.assert_allclose(frame["a"], numbers)
    assert frame.attrs["reading"]["decimal"] == decimal


@pytest.mark.parametrize("field", ["1.5", "1.2345,6", "12.34", "1,5,5", "x", "1.234 567,8", "1,"])
def test_what_is_no_number_with_a_decimal_comma(field):
    frame, _ = read(f"a;y\n2,5;1\n{field};2\n", decimal=",")
    if field == "1,":
        assert frame["a"].tolist() == [2.5, 1]
    else:
        assert frame["a"].tolist() == ["2,5", field]


@pytest.mark.parametrize("decimal", [",", "."])
@pytest.mark.parametrize("other", ["red", "red ", " red"])
def test_blanks_do_not_change_what_a_mark_means(decimal, other):
    group = {",": ".", ".": ","}[decimal]
    fields = [f"7{group}250", f" 1{group}125", f"3{group}500 ", f"1{group}000{decimal}5"]
    rows = [f'"{field}";{other};{i}\n' for i, field in enumerate(fields[: 3 + len(other) % 2])]
    frame, _ = read("size;colour;y\n" + "".join(rows), decimal=decimal)
    assert frame["size"].tolist() == [7250, 1125, 3500, 1000.5][: len(rows)]
    assert set(frame["colour"]) == {"red"}


@pytest.mark.parametrize("text", ["self,y\nx ,1\ny ,2\n", "y,self\n1,01\n2,02\n3,01\n"])
def test_a_column_can_have_any_name(text):
    frame, _ = read(text)
    assert set(frame["self"]) in ({"x", "y"}, {"01", "02"})


def test_truth_values_beside_blanks():
    frame, _ = read("a,b,y\ntrue,x ,1\n,y ,2\nfalse,x ,3\n")
    assert frame["a"].dtype == "boolean" and frame["a"].isna().tolist() == [False, True, False]


def test_without_a_decimal_mark_nothing_is_guessed():
    frame, _ = read("a;y\n2,5;1\n1.234,5;2\n")
    assert frame["a"].tolist() == ["2,5", "1.234,5"]
    assert "must be ',' or '.', not ';'" in refused("a,b\n1,2\n", decimal=";")


# ---- separators at line ends -------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "a,b,y,\n1,2,3,\n4,5,6,\n",
        "a,b,y,\n1,2,3\n4,5,6\n",
        "a,b,y,\n1,2,3\n4,5,6,\n",
        "a,b,y\n1,2,3,\n4,5,6,\n",
        "a,b,y,,,\n1,2,3,,,\n4,5,6,,,\n",
        "a,b,y, \n1,2,3, \n4,5,6, \n",
        "a;b;y;\n1;2;3;\n4;5;6;\n",
    ],
)
def test_a_separator_at_the_end_makes_no_column(text):
    frame, _ = read(text)
    assert list(frame) == ["a", "b", "y"] and frame.to_numpy().tolist() == [[1, 2, 3], [4, 5, 6]]


def test_columns_without_a_name_that_have_values():
    frame, _ = read("a,b,\n1,2,3\n4,5,\n")
    assert list(frame) == ["a", "b", "Unnamed: 2"]
    frame, _ = read(",a,\n0,1,\n1,3,\n")
    assert list(frame) == ["Unnamed: 0", "a"]
    assert "line 2: 4 fields" in refused("a,b,y\n1,2,3,4\n4,5,6,7\n")
    assert "line 3: 1 field" in refused("a,b,y,\n1,2,3,\n4\n")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("above", ["", "#\n", "\n"])
@pytest.mark.parametrize("header", ["a,b,y", '"a",b,y', "a,b,y,"])
def test_rows_whose_last_value_is_missing(end, above, header):
    """They are told from rows that are too short, wherever these are in a long table."""
    rows = [f"{i},{i % 7},{'' if i % 5 else i}" for i in range(400)]

    def text(rows, last):
        return (above + "\n".join([header, *rows]) + last).replace("\n", end)

    for last in ("", "\n"):
        frame, _ = read(text(rows, last), target="a")
        assert list(frame) == ["a", "b", "y"]
        assert frame["y"].isna().tolist() == [i % 5 > 0 for i in range(400)]
        for place in (1, 250, 399):
            short = [*rows[:place], "1,2", *rows[place + 1 :]]
            line = place + 2 + above.count("\n")
            message = refused(text(short, last), target="a")
            assert f"line {line}: 2 fields where the header has" in message


# ---- quotation marks ---------------------------------------------------------------------


def swallowed(first, last, n=40, quote='"'):
    """Return a table of three columns with quotation marks too many in two rows."""
    rows = [[f"{i / 8}", f"{i} in", f"{i * 2}"] for i in range(n)]
    for row in (first, last):
        rows[row][1] = f"{quote}{rows[row][1]}"
    return "size,width,value\n" + "".join(",".join(row) + "\n" for row in rows)


@pytest.mark.parametrize(("first", "last"), [(3, 4), (3, 5), (0, 39), (10, 30)])
def test_a_field_that_swallows_rows_is_remarked(first, last):
    frame, remarks = read(swallowed(first, last))
    assert len(frame) == 40 - (last - first)
    assert len(remarks) == 1
    assert f"a quoted field spans lines {first + 2} to {last + 2}, which look" in remarks[0]


def test_a_field_that_swallows_thousands_of_rows():
    _, remarks = read(swallowed(10, 30_000, n=30_010))
    assert "the field that opens in line 12 by a quotation mark is very long" in remarks[0]


def test_a_quotation_mark_that_is_never_closed():
    message = refused('a,b\n1,2\n3,"4\n5,6\n7,8\n')
    assert "the quotation mark that opens in line 3 is never closed" in message


@pytest.mark.parametrize(
    "fields",
    [
        ["12 Main Street\nSpringfield, IL", "1 High Road\r\nLondon, UK\r\nEurope"],
        ["good, cheap\nand fast", "bad\n\n\nand dear, too"],
        ["line\n" * 30, "none"],
        ['say ""hi"", then\ngo', "x"],
    ],
)
@pytest.mark.parametrize("n_columns", [2, 3, 4])
def test_text_of_several_lines_is_none_of_this(fields, n_columns):
    rest = ",7" * (n_columns - 1)
    names = ",".join("abcd"[: n_columns - 1])
    text = f"text,{names}\n" + "".join(f'"{field}"{rest}\n' for field in fields * 3)
    frame, remarks = read(text)
    assert len(frame) == 6 and remarks == []


# ---- threads -----------------------------------------------------------------------------


def test_threads_that_read_leave_the_filters_of_warnings_alone(monkeypatch):
    filters = []
    parse = pd.read_csv

    def parsing(*args, **options):
        filters.append(list(warnings.filters))
        return parse(*args, **options)

    monkeypatch.setattr(pd, "read_csv", parsing)
    before = list(warnings.filters)
    assert len(read_table(io.StringIO("a,b\n1,2\n"))) == 1
    assert filters == [before]


# ---- tables without rows -----------------------------------------------------------------


def test_tables_without_rows():
    frame, _ = read("a,b,\n", allow_empty=True, text=["b"])
    assert frame.shape == (0, 2) and frame["a"].dtype == float
    assert "a header but no row" in refused("a,b\n")
    assert "the file is empty" in refused("", allow_empty=True)
    assert "the file is empty" in refused("\n \n", allow_empty=True)


# ---- anything at all ---------------------------------------------------------------------

PIECES = [
    b"a", b"b", b"1", b"02", b"-3.5", b"NA", b'"', b'""', b'"x,y"', b'"p\nq"', b" ", b"\t", b",",
    b";", b"|", b"\n", b"\r\n", b"\r", b"#", b"\xe9", b"\xff\xfe", b"\0", b"True", b"1e400",
    b"99999999999999999999", b"+5", b"\xef\xbb\xbf", b"sep=;\n", b"12,5", b"inf", b"\xc2\xa0", b"{",
    b"[", b"<", b"\x1f\x8b", b"PK\x03\x04", b"BZh91AY&SY", b"a,b\n1,2\n", b"x;y\n1;2,5\n",
]  # fmt: skip
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "separator": st.sampled_from([",", ";", "tab", "|", " ", "a", "1", ".", "-"]),
        "encoding": st.sampled_from(["utf-8", "latin-1", "utf-16", "utf-7", "cp037", "utf-32-be"]),
        "decimal": st.sampled_from([",", "."]),
        "na_values": st.just(["1"]),
        "text": st.sampled_from([["a"], ["1"]]),
        "drop": st.sampled_from([["a"], ["b"]]),
        "header": st.booleans(),
        "target": st.sampled_from(["a", "1"]),
        "task": st.sampled_from(["classification", "regression"]),
        "allow_empty": st.booleans(),
    },
)


@settings(derandomize=True, max_examples=400, deadline=None, database=None)
@given(
    st.one_of(st.lists(st.sampled_from(PIECES), max_size=25).map(b"".join), st.binary(max_size=60)),
    OPTIONS,
)
def test_any_bytes_are_a_table_or_an_error(content, options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            frame = read_table(io.BytesIO(content), **options)
        except DataError as error:
            assert "\n" not in str(error)
        else:
            assert frame.columns.is_unique and len(frame.columns)
            assert len(frame) or options.get("allow_empty")


BLANKS = " \t\u00a0"
FIELDS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\ufeff"), max_size=8)


@settings(derandomize=True, max_examples=150, deadline=None, database=None)
@given(st.lists(st.lists(FIELDS, min_size=2, max_size=2), min_size=1, max_size=8))
def test_all_rows_and_fields_arrive(rows):
    """What is written as text comes back, apart from blanks around it."""
    out = io.StringIO()
    pd.DataFrame(rows, columns=["first", "second"]).to_csv(out, index=False, quoting=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = read_table(io.StringIO(out.getvalue(), newline=""), text=["first", "second"])
    assert frame.astype(object).fillna("").to_numpy().tolist() == [
        [x.strip(BLANKS) for x in row] for row in rows
    ]


def test_points_in_a_table_of_decimal_commas_are_read_as_such():
    text = 'a,b,c\n"1,5",0.5,x\n"2,25",10.125,1.2.3\n1,,y\n'
    with pytest.warns(DataWarning) as caught:
        frame = read_table(io.StringIO(text), decimal=",")
    assert frame["a"].tolist() == [1.5, 2.25, 1]
    assert frame["b"].tolist()[:2] == [0.5, 10.125] and frame["b"].isna()[2]
    assert frame["c"].tolist() == ["x", "1.2.3", "y"]
    assert [str(warning.message) for warning in caught] == [
        "the file: column 'b' has decimal points, and is read so: '0.5' is 0.5"
    ]


def test_words_that_are_read_as_missing_alike():
    with pytest.warns(DataWarning, match="the texts 'NA' and 'None' are read as missing, all ali"):
        read_table(io.StringIO("c,y\nNA,1\nNone,2\nDE,3\n"))


@pytest.mark.parametrize(
    ("numbers", "is_said"),
    [(range(10**17, 10**17 + 60), True), ([10**17, 10**17 + 1] * 30, False), ([10**30] * 3, True)],
)
def test_digits_of_a_target_that_are_lost(numbers, is_said):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_table(io.StringIO("x,y\n" + "".join(f"{i % 7},{y}\n" for i, y in enumerate(numbers))))
    assert any("lose the last ones" in str(w.message) for w in caught) == is_said


def test_many_columns_of_codes_are_counted():
    names = ",".join(f"c{i}" for i in range(12))
    _, remarks = read(f"{names},y\n" + "".join("01," * 12 + f"{i}.5\n" for i in range(9)))
    assert len(remarks) == 6 and remarks[-1] == "the file: 7 more columns have such numbers"
