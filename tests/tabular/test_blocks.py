"""Parts of the text of a CSV file that end where a row ends."""

import csv
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmlp.tabular import blocks
from fastmlp.tabular.blocks import Block, BlockReader
from fastmlp.tabular.examination import Watched


def cut(text, n_rows):
    """The blocks of a text, and what is left."""
    reader = BlockReader(Watched(io.StringIO(text, newline=""), ",", "t.csv"), n_rows)
    found = list(reader)
    is_left = reader.leave()
    rest = "".join(part.decode() for part in iter(lambda: reader._watched.read_part(999), b""))
    assert is_left == bool(rest)
    return found, rest


FIELDS = st.sampled_from(["", "1", "a b", "x,y", "two\nlines", "two\r\nlines", 'a "b"', "é", '"'])
ROWS = st.lists(st.tuples(FIELDS, FIELDS, st.booleans()), max_size=12)


@settings(max_examples=80, deadline=None)
@given(ROWS, st.sampled_from([1, 2, 5, 100]), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_rows_and_their_lines(rows, n_rows, end, ends_well):
    out = io.StringIO()
    for first, second, is_blank in rows:
        csv.writer(out, lineterminator=end).writerow([f"k{first}", second])
        out.write(end if is_blank else "")
    text = out.getvalue() if ends_well else out.getvalue().removesuffix(end)
    found, rest = cut(text, n_rows)
    assert rest == "" and "".join(block.text.decode() for block in found) == text
    read = csv.reader(io.StringIO(text, newline=""))
    expected, line = [], 1
    for row in read:
        if row:
            expected.append((line, len(row)))
        line = read.line_num + 1
    lines = np.concatenate([block.lines() for block in found] or [[]]).tolist()
    assert lines == [line for line, _ in expected]
    assert all(len(block.lines()) <= n_rows for block in found)
    widths = [w for block in found for w in block.widths().tolist()]
    assert [w for w in widths if w > 1] == [width for _, width in expected]
    for block in found:
        parsed = pd.read_csv(io.BytesIO(block.text), header=None, names=[0, 1])
        assert len(parsed) == len(block.lines())


@pytest.mark.parametrize(
    "odd", ['a"b', '"a"b,c', 'a,b"', '"never closed\nx,y', "a\rb", ' "x,y"', '"a" ,b']
)
def test_text_that_is_left_to_the_parser(odd):
    text = "1,2\n3,4\n" + odd + "\n5,6\n"
    found, rest = cut(text, 1)
    assert [block.text for block in found] == [b"1,2\n", b"3,4\n"]
    assert rest == text[8:]


def test_blocks_of_wide_and_of_long_rows(monkeypatch):
    monkeypatch.setattr(blocks, "_LARGEST", 1000)
    monkeypatch.setattr(blocks, "_LONGEST_ROW", 20_000)
    row = ",".join(["12345"] * 50) + "\n"
    found, rest = cut(row * 100, 90)
    assert rest == "" and {len(block.text) for block in found} == {3 * len(row), len(row)}
    long = ",".join(["12345"] * 500) + "\n"
    found, rest = cut(row + long * 3 + row, 100)
    assert rest == "" and [len(block.text) for block in found][:2] == [len(row), len(long)]
    text = row * 5 + '"' + "x\n" * 40_000
    found, rest = cut(text, 100)
    assert rest.startswith('"x\n') or rest.startswith(row)
    assert "".join(block.text.decode() for block in found) + rest == text


def test_the_first_row_tells_its_width():
    assert Block(b'"a,b",2\n1\n', ord(","), 0).first_width() == 2
    assert Block(b"", ord(","), 0).first_width() == 0
    assert Block(b"\n  \t\r\n1,2,3\n", ord(","), 0).first_width() == 3
    assert Block(b"\n \r\n", ord(","), 0).first_width() == 0


def test_separators_that_are_blanks_make_rows():
    block = Block(b"1\t2\n\n\t\n3\t4\n", ord("\t"), 0)
    assert block.lines().tolist() == [1, 3, 4]
    assert Block(b" \n\t\t\n", ord("\t"), 0).first_width() == 3
