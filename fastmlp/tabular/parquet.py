"""Tables in Parquet files, which pyarrow reads and writes."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import DataError
from .cells import is_text
from .conversion import with_booleans
from .naming import no_column
from .parsing import NO_ROWS, one_line
from .reading import Reading, Rows
from .sources import Source

_INDEX = re.compile(r"__index_level_\d+__")  # how pandas keeps the index of a frame


def pyarrow_for(name: str) -> Any:
    """Import pyarrow, and what it has for Parquet.

    Parameters
    ----------
    name : str
        The file that needs it.

    Raises
    ------
    DataError
        When pyarrow is not installed; the message says how to get it.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise DataError(
            f"{name}: this is a Parquet file, for which pyarrow is needed: "
            "pip install 'fastmlp[parquet]'"
        ) from None
    return pyarrow


class ParquetTable:
    """A Parquet file as a table: all rows at once, or some after the other.

    Parameters
    ----------
    source : Source
    reading : Reading
        Of its options the marks of missing values, the columns that are text and those that are
        left out count. Where a model knows columns, no others are read, but those to be kept.

    Raises
    ------
    DataError
        When pyarrow is missing, when the file is broken, when a column is named twice, and when
        a column of `text`, `drop` or `keep` is not there.
    """

    def __init__(self, source: Source, reading: Reading) -> None:
        self._source, self.reading, self.name = source, reading, source.name
        self._arrow = pyarrow_for(source.name)
        with self._opened() as file:
            names = [name for name in file.schema_arrow.names if not _INDEX.fullmatch(name)]
            self.n_rows = file.metadata.num_rows
        repeated = [name for name, count in Counter(names).items() if count > 1]
        if repeated:
            raise DataError(
                f"{self.name}: column name {repeated[0]!r} stands there more than once; names must "
                "differ"
            )
        self._check_named(names)
        self._needed = reading.needed(names)
        self.names = [
            name
            for name in names
            if name not in reading.drop
            and (not reading.known or name in self._needed or name in reading.keep)
        ]
        if not names or (not self.names and not reading.known):
            raise DataError(f"{self.name}: no column is left")
        self._n_columns = len(names)

    def chunks(self, n_rows: int) -> Iterator[Rows]:
        """Yield the next rows of the columns that are known, and of those that are passed on."""
        for frame in self._frames(n_rows):
            yield Rows(frame[self._needed], frame[list(self.reading.keep)])

    def _frames(self, n_rows: int) -> Iterator[pd.DataFrame]:
        """Yield the next rows; one empty frame if there are none."""
        has_rows = False
        with self._opened() as file:
            for batch in file.iter_batches(batch_size=n_rows, columns=self.names):
                has_rows = True
                yield self._settled(batch.to_pandas(ignore_metadata=True))
            if not has_rows:
                table = file.schema_arrow.empty_table().select(self.names)
                yield self._settled(table.to_pandas(ignore_metadata=True))

    def read(self) -> pd.DataFrame:
        """Read all rows."""
        if not self.n_rows and not self.reading.allow_empty:
            raise DataError(f"{self.name}: {NO_ROWS}")
        with self._opened() as file:
            frame = file.read(columns=self.names).to_pandas(ignore_metadata=True)
        frame = self._settled(frame)
        frame.attrs["reading"] = {
            "decimal": None,
            "header": True,
            "n_columns": self._n_columns,
            "na_values": list(map(str, self.reading.na_values)),
            "text": sorted(self.reading.verbatim),
        }
        return frame

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        """Open the file; what pyarrow finds wrong with it is an error of the data."""
        try:
            with self._source.opened() as stream:
                yield self._arrow.parquet.ParquetFile(self._arrow.PythonFile(stream, mode="r"))
        except (self._arrow.ArrowException, OSError) as error:
            raise DataError(
                f"{self.name}: this is a Parquet file that cannot be read: {one_line(error)}"
            ) from None

    def _check_named(self, names: list[str]) -> None:
        reading = self.reading
        for option, wanted in (
            ("text", reading.verbatim - reading.known),
            ("drop", reading.drop),
            ("keep", reading.keep),
        ):
            if unknown := [name for name in wanted if name not in names]:
                raise DataError(no_column(self.name, unknown[0], option, names))
        if dropped := [name for name in reading.targets or () if name in reading.drop]:
            raise DataError(
                f"{self.name}: column {dropped[0]!r} is the target, which cannot be left out"
            )

    def _settled(self, frame: pd.DataFrame) -> pd.DataFrame:
        marks = set(map(str, self.reading.na_values))
        for name in frame.columns:
            column = frame[name]
            if name in self.reading.verbatim and not is_text(column):
                frame[name] = column.map(str, na_action="ignore").astype(object)
            elif marks and is_text(column) and not pd.api.types.is_datetime64_any_dtype(column):
                is_mark = column.map(lambda value: isinstance(value, str) and value in marks)
                frame[name] = column.mask(is_mark.astype(bool), np.nan)
        return with_booleans(frame)


def read_parquet(source: Source, reading: Reading) -> pd.DataFrame:
    """Read a Parquet file as a table; see :class:`ParquetTable`."""
    return ParquetTable(source, reading).read()
