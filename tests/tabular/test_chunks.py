"""Tables that are read some rows at a time, and predictions of them."""

import bz2
import gzip
import io
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning

from fastmlp import DataWarning, TabularClassifier, TabularRegressor
from fastmlp.exceptions import DataError
from fastmlp.tabular.csv import read_table
from fastmlp.tabular.predictions import predict_chunks, predictions
from fastmlp.tabular.train import read_for, train_table

QUICK = {"hidden_layer_sizes": (4,), "max_iter": 3, "early_stopping": False}


def table(n_rows=300, seed=0):
    """Text of a table with columns whose types a few rows would not show."""
    rng = np.random.default_rng(seed)
    lines = ["whole,share,late,code,long,town,note,y"]
    for i in range(n_rows):
        late = "" if i < 200 else f"{rng.normal():.17g}"
        fields = [
            f"{i % 40}" if i < 150 else f"{i}.{i % 10}",
            f"{rng.random() * 10.0 ** -(i % 9):.17g}",
            late,
            f"{i % 30:03d}",
            f"{9007199254740993 + 77 * i}" if i != 180 else "",
            ("Rome", " Oslo ", '"a,b"', '"two\nlines"')[i % 4],
            ("NA", "x", "")[i % 3],
            f"{i % 17 + rng.normal():.6g}",
        ]
        lines.append(",".join(fields))
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def model():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        frame = read_table(io.StringIO(table()), text=["code"])
        return train_table(frame, **QUICK)


def in_chunks(model, content, n_rows, **options):
    content = io.StringIO(content) if isinstance(content, str) and "\n" in content else content
    return pd.concat(
        predict_chunks(model, content, n_rows=n_rows, **options), ignore_index=True
    )  # fmt: skip


@pytest.mark.parametrize("n_rows", [1, 7, 100, 150, 299, 300, 10_000])
def test_predictions_do_not_depend_on_where_chunks_end(model, n_rows):
    text = table(seed=1)
    whole = predictions(model, read_for(model, io.StringIO(text)))
    found = in_chunks(model, text, n_rows)
    assert found["y"].to_numpy().tobytes() == whole["y"].to_numpy().tobytes()


@pytest.mark.parametrize("n_rows", [3, 100])
def test_decimal_commas_and_marks_of_thousands(n_rows):
    """Where one row has a mark of thousands, the others are read alike with and without it."""
    rng = np.random.default_rng(0)
    numbers = [f"{x:.17g}".replace(".", ",") for x in rng.normal(size=200)]
    text = "a;y\n" + "".join(f"{x};{i}\n" for i, x in enumerate(numbers))
    model = train_table(
        read_table(io.StringIO(text), separator=";", decimal=","), test_size=0, **QUICK
    )
    text = text.replace("\n" + numbers[150], "\n1.234,5")
    options = {"separator": ";"}
    whole = predictions(model, read_for(model, io.StringIO(text), **options))
    found = in_chunks(model, text, n_rows, **options)
    assert found["y"].to_numpy().tobytes() == whole["y"].to_numpy().tobytes()


def test_columns_that_are_kept_stay_as_they_stand(model):
    text = table(seed=2)
    keep = ["town", "code", "share", "note"]
    found = in_chunks(model, text, 70, keep=keep)
    assert list(found) == [*keep, "y"]
    assert found["code"].tolist()[:3] == ["000", "001", "002"]
    assert found["note"].tolist()[:3] == ["NA", "x", ""]
    assert found["town"].tolist()[:4] == ["Rome", "Oslo ", "a,b", "two\nlines"]
    raw = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    assert found["share"].tolist() == raw["share"].tolist()
    assert found["y"].tolist() == in_chunks(model, text, 70)["y"].tolist()
    assert list(in_chunks(model, text, 70, keep="y")) == ["y", "y_predicted"]
    with pytest.raises(DataError, match="no column 'city' for `keep`; the columns are 'whole', "):
        in_chunks(model, text, 70, keep="city")


def test_sources_of_chunks(model, tmp_path, monkeypatch):
    text = table(seed=3)
    expected = in_chunks(model, text, 10_000)
    head, *lines = text.replace("two\nlines", "two lines").splitlines(keepends=True)
    expected = in_chunks(model, head + "".join(lines), 10_000)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress((head + "".join(lines[:120])).encode()))
    (tmp_path / "b.csv").write_bytes(bz2.compress((head + "".join(lines[120:])).encode("utf-16")))
    found = in_chunks(model, str(tmp_path / "*.csv*"), 50, keep="code")
    pd.testing.assert_frame_equal(found[["y"]], expected)
    assert found["code"].tolist() == [f"{i % 30:03d}" for i in range(300)]


@pytest.mark.parametrize("n_rows", [20, 1000])
def test_faults_of_later_rows_name_their_place(model, n_rows):
    plain = table(seed=4).replace("two\nlines", "two lines")
    lines = plain.splitlines(keepends=True)

    def faulty(row, **cells):
        names, values = lines[0].strip().split(","), ["1", "1", "1", "1", "1", "Rome", "x", "1"]
        fields = dict(zip(names, values, strict=True))
        return "".join(
            [*lines[: row + 1], ",".join({**fields, **cells}.values()) + "\n", *lines[row + 2 :]]
        )

    with pytest.raises(
        DataError, match=r"'share' has the text 'row 3' in row 101 \(line 102\); the model"
    ):
        in_chunks(model, faulty(100, share="row 3"), n_rows)
    for extra, n_fields in ((",9", 9), (None, 7)):
        cut = faulty(100).splitlines(keepends=True)
        cut[101] = cut[101].strip() + extra + "\n" if extra else cut[101].rpartition(",")[0] + "\n"
        with pytest.raises(DataError, match=rf"line 102: {n_fields} fields where the header has 8"):
            in_chunks(model, "".join(cut), n_rows)
    with pytest.raises(DataError, match="never closed"):
        in_chunks(model, plain + '1,1,1,1,1,Rome,x,"1\n', n_rows)
    with pytest.raises(DataError, match="not utf-8 text"):
        content = faulty(100, note="é").encode() + faulty(5, note="é").encode("latin-1")
        in_chunks(model, io.BytesIO(content), n_rows)
    truncated = gzip.compress(plain.encode())[:-40]
    with pytest.raises(DataError, match="cannot be read: "):
        in_chunks(model, io.BytesIO(truncated), n_rows)
    missing = plain.replace("share", "part", 1)
    with pytest.raises(DataError, match="missing columns: 'share'"):
        in_chunks(model, missing, n_rows)


@pytest.mark.parametrize("n_rows", [9, 1000])
def test_lines_of_rows_are_those_of_the_file(model, n_rows, tmp_path):
    """Blank lines and fields of several lines count, and so does the file among several."""
    head, *lines = table(60, seed=7).replace("two\nlines", "two lines").splitlines(keepends=True)
    lines[20] = "\n" + lines[20].replace("Rome", '"Ro\nme"') + "  \n"
    lines[39] = "1,row 40" + lines[39][lines[39].index(",", 4) :]
    text = head + "".join(lines)
    line = 1 + next(i for i, line in enumerate(text.splitlines()) if "row 40" in line)
    with pytest.raises(DataError, match=rf"'row 40' in row 40 \(line {line}\); the model"):
        in_chunks(model, text, n_rows)
    (tmp_path / "a.csv").write_text(head + "".join(lines[:25]))
    (tmp_path / "b.csv").write_text(head + "".join(lines[25:]))
    with pytest.raises(DataError, match=r"in row 40 \(line 16 of .*b\.csv\); the model"):
        in_chunks(model, str(tmp_path / "?.csv"), n_rows)


def test_a_row_of_several_parquet_files(model, tmp_path):
    pytest.importorskip("pyarrow")
    frame = read_for(model, io.StringIO(table(seed=6)))
    frame.to_parquet(tmp_path / "a.parquet")
    frame["share"] = np.where(np.arange(300) == 70, "x", frame["share"].astype(str))
    frame.to_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"in row 371 \(row 71 of .*b\.parquet\); the model"):
        in_chunks(model, str(tmp_path / "?.parquet"), 50)


def test_a_first_row_that_is_longer_than_the_header(model):
    """Rows that end with a separator are looked at first, and read from their start then."""
    lines = table(2000).replace("two\nlines", "two lines").splitlines()
    text = "\n".join([lines[0], *(f"{line}," for line in lines[1:])]) + "\n"
    assert len(read_for(model, io.StringIO(text))) == 2000
    found = in_chunks(model, text, 300)
    assert found["y"].tolist() == in_chunks(model, "\n".join(lines) + "\n", 300)["y"].tolist()


@pytest.mark.parametrize("blank", ["", "\n", " \t\n"])
@pytest.mark.parametrize("row", [50, 51, 120])
def test_a_longer_row_is_found_wherever_a_part_begins(model, row, blank):
    lines = table(200).replace("two\nlines", "two lines").splitlines(keepends=True)
    lines[row] = blank + lines[row].strip() + ",9\n"
    line = row + 1 + bool(blank)
    with pytest.raises(DataError, match=rf"line {line}: 9 fields where the header has 8"):
        in_chunks(model, "".join(lines), 50)


def test_levels_that_look_like_numbers_stay_text():
    rng = np.random.default_rng(0)
    codes = np.array(["007", "7", "1e3", "x"])[rng.integers(0, 4, 400)]
    frame = pd.DataFrame({"code": codes, "y": [f"class {code}" for code in codes]})
    with pytest.warns(DataWarning, match="tells the target by itself"):
        model = train_table(
            frame, test_size=0, hidden_layer_sizes=(8,), max_iter=200, learning_rate_init=0.01
        )
    frame = frame.sort_values("code")  # so that a part has numbers alone
    whole = model.predict(frame)
    for n_rows in (30, 150, 400):
        found = in_chunks(model, frame.to_csv(index=False), n_rows, keep="y")
        assert found["y_predicted"].tolist() == whole.tolist() == found["y"].tolist()


def test_tables_without_rows(model):
    head = table(0)
    found = in_chunks(model, head, 10, keep=["code", "share"])
    assert list(found) == ["code", "share", "y"] and len(found) == 0
    with pytest.raises(DataError, match="missing columns"):
        in_chunks(model, head.replace("late", "soon"), 10)


def test_remarks_are_said_once(model):
    text = table(seed=5).replace("Rome", "Ulm").replace("Oslo", "Bonn").replace("a,b", "Graz")
    text = text.replace("two\nlines", "Lyon")
    with pytest.warns(DataWarning) as caught:
        in_chunks(model, text, 60)
    about = [str(w.message) for w in caught if "'town'" in str(w.message)]
    assert len(about) == 1 and "column 'town'" in about[0]


def test_classes_and_quantiles_in_chunks():
    frame = pd.DataFrame({"a": np.arange(60.0), "b": ["u", "v", "w"] * 20})
    text = frame.to_csv(index=False)
    classifier = train_table(frame, "b", test_size=0, **QUICK)
    assert isinstance(classifier, TabularClassifier)
    found = in_chunks(classifier, text, 7, proba=True)
    assert list(found) == ["b", "probability_u", "probability_v", "probability_w"]
    rest = frame[["a"]]
    assert found.iloc[:, 1:].to_numpy().tobytes() == classifier.predict_proba(rest).tobytes()
    regressor = TabularRegressor(loss="quantile", quantiles=[0.1, 0.9], **QUICK)
    with pytest.warns(ConvergenceWarning):
        regressor.fit(frame[["b"]], frame["a"])
    found = in_chunks(regressor, text, 7)
    assert found.to_numpy().tobytes() == regressor.predict(frame[["b"]]).tobytes()


def test_parquet_in_chunks(model, tmp_path):
    pytest.importorskip("pyarrow")
    frame = read_for(model, io.StringIO(table(seed=6)))
    frame.to_parquet(tmp_path / "t.parquet")
    whole = predictions(model, read_for(model, tmp_path / "t.parquet"))
    for n_rows in (7, 1000):
        found = in_chunks(model, tmp_path / "t.parquet", n_rows, keep=["share", "code"])
        assert found["y"].to_numpy().tobytes() == whole["y"].to_numpy().tobytes()
        assert found["share"].tolist() == frame["share"].tolist()
    assert whole["y"].tolist() == predictions(model, frame)["y"].tolist()
