"""Tables from files: CSV, TSV, JSON Lines and Parquet, read by pandas."""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cello.errors import ArgumentError, DataError
from cello.ranges import shown
from cello.tasks.readers.text_files import CONVERT, encoding_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["as_numbers", "check_columns", "in_words", "plain_text", "read_table"]


def read_table(
    table: Any, *, as_texts: bool | Sequence[str] = False, words_stay: bool = False
) -> pd.DataFrame:
    """A file, or text of CSV, as a table of pandas; such a table stays as it is.

    Args:
        table: a path whose ending says what it is: .parquet, .pq, .tsv, .jsonl, .ndjson; CSV
            otherwise.
        as_texts: whether what stands in CSV and JSON stays as it stands there, 007 and true
            included: all of it, or some columns.
        words_stay: whether NA, None, null and the like are words in CSV; else they are missing
            values, as an empty place always is.

    Raises:
        DataError: it cannot be read.
        ImportError: pandas is not installed: pip install 'cello[tables]'.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            "tables are read by pandas, which is not installed: pip install 'cello[tables]'"
        ) from error

    if isinstance(table, pd.DataFrame):
        return table
    where = str(table) if isinstance(table, (str, Path)) else "the table"
    ending = Path(where).suffix.lower()
    try:
        if ending in (".parquet", ".pq"):
            return pd.read_parquet(table)
        if ending in (".jsonl", ".ndjson"):
            plain: Any = {"dtype": False} if as_texts else {}
            return pd.read_json(table, lines=True, encoding=_encoding(table), **plain)
        more: Any = {"keep_default_na": False, "na_values": [""]} if words_stay else {}
        if as_texts:
            more["dtype"] = str if as_texts is True else dict.fromkeys(as_texts, str)
        if ending in _NOT_READ:
            raise DataError(f"{where}: is no CSV, TSV, JSON Lines or Parquet: {_NOT_READ[ending]}")
        return _csv(table, ending, more)
    except (ImportError, DataError):
        raise
    except FileNotFoundError as error:
        raise DataError(f"{where}: no such file or folder") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}: is not written in UTF-8 ({error.reason} at byte {error.start:,}): " + CONVERT
        ) from error
    except Exception as error:  # whatever pandas says of what it cannot read
        raise DataError(f"{where}: is no table: {error}") from error


#: Endings of files that are no CSV, and what to do with such a file.
_NOT_READ = {
    ".json": "write each row as an object on a line of its own, in a file that ends with .jsonl",
    **dict.fromkeys((".xls", ".xlsx", ".ods"), "save the sheet as CSV"),
    **dict.fromkeys((".gz", ".zip", ".bz2", ".xz", ".zst", ".7z"), "unpack it first"),
}


def _csv(table: Any, ending: str, options: dict[str, Any]) -> pd.DataFrame:
    """CSV, whose columns are separated by what is most often in the first line: , or ; or a tab.

    With semicolons, as spreadsheets write them where the comma is in numbers, commas are decimal
    commas if the first rows have such, and no decimal points; then points are between thousands.
    Empty rows at the end, as spreadsheets leave them, are left out.
    """
    import pandas as pd

    encoding = _encoding(table)
    options = {"encoding": encoding, **options}
    sep = "\t" if ending == ".tsv" else ","
    if ending != ".tsv" and isinstance(table, (str, Path)):
        with Path(table).open(encoding=encoding, newline="") as file:
            head = re.sub(r'"[^"]*"', "", file.readline())
        sep = max(",;\t", key=head.count)
    commas = False
    if sep == ";":
        first = pd.read_csv(table, sep=sep, dtype=str, nrows=_FIRST, encoding=encoding)
        cells = first.stack().dropna().str.strip()
        points = cells.str.fullmatch(_WITH_POINT) & ~cells.str.fullmatch(_WITH_COMMA)
        commas = bool(cells[cells.str.contains(",")].str.fullmatch(_WITH_COMMA).any())
        commas = commas and not points.any()
    options |= {"sep": sep, "decimal": "," if commas else "."}
    frame = _as_wide_as_its_head(table, pd.read_csv(table, **options), options)
    if sep == "\t":
        frame = _lines_apart(table, frame, options)
    if sep == ",":
        for name in (n for n in frame.columns if _has_thousands(frame[n])):
            frame[name] = pd.to_numeric(frame[name].str.replace(",", ""))
    if commas:
        texts = options.get("dtype", {})
        kept = frozenset() if texts is str else frozenset(texts)
        for name in (n for n in frame.columns if n not in kept and _has_commas(frame[n])):
            plain = frame[name].str.replace(".", "").str.replace(",", ".").str.strip()
            number = frame[name].astype(str).str.fullmatch(_WITH_COMMA)
            frame[name] = plain.where(number | frame[name].isna(), frame[name])
            if texts is not str and number[frame[name].notna()].all():
                frame[name] = pd.to_numeric(plain)
    there = np.flatnonzero(frame.notna().any(axis=1))
    return frame.iloc[: there[-1] + 1] if len(there) else frame


def _as_wide_as_its_head(
    table: Any, frame: pd.DataFrame, options: Mapping[str, Any]
) -> pd.DataFrame:
    """The table, of which pandas has made an index where rows have more fields than the first one.

    An empty field at the end of each row is left out.
    """
    import pandas as pd

    if isinstance(frame.index, pd.RangeIndex):
        return frame
    last = frame.iloc[:, -frame.index.nlevels :]
    if last.isna().all(axis=None):
        return pd.read_csv(table, index_col=False, **options)
    row = int(np.flatnonzero(last.notna().any(axis=1))[0]) + 1
    raise DataError(
        f"{table}: row {row} has {frame.shape[1] + frame.index.nlevels} fields, the first row "
        f"names {frame.shape[1]} columns: where a comma or the like is part of a text, put the "
        "text between quotation marks"
    )


def _lines_apart(table: Any, frame: pd.DataFrame, options: Mapping[str, Any]) -> pd.DataFrame:
    """The table with a row for each line, where quotation marks have joined lines of tabs.

    Such files often have none that quote. Where a line by itself has another number of fields,
    they do.
    """
    import pandas as pd

    texts = frame.select_dtypes(exclude="number").astype(str)
    if not texts.apply(lambda column: column.str.contains("\n")).any(axis=None):
        return frame
    try:
        plain = pd.read_csv(table, quoting=csv.QUOTE_NONE, **options)
    except pd.errors.ParserError:
        return frame
    whole = isinstance(plain.index, pd.RangeIndex) and plain.iloc[:, -1].notna().all()
    return plain if whole else frame


#: Numbers as they are written where columns are separated by commas: with commas between thousands.
_THOUSANDS = r"\s*[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?\s*"


def _has_thousands(column: pd.Series) -> bool:
    """Whether it holds texts which are numbers with commas between thousands.

    By 1,000 alone this is not known, by 1,000.5 or 1,000,000 it is.
    """
    cells = _texts(column)
    return bool(cells.str.fullmatch(_THOUSANDS).all() and cells.str.contains(r",\d{3}[.,]").any())


def _encoding(table: Any) -> str:
    """That of a file; text that is not in a file has none, and pandas asks for none."""
    if not isinstance(table, (str, Path)):
        return "utf-8"
    with Path(table).open("rb") as file:
        return encoding_of(file.read(4))


#: So many rows are looked at for decimal commas.
_FIRST = 1000

#: Numbers as they are written in tables with semicolons: with a comma, with points between
#: thousands, or both; and with a decimal point.
_WITH_COMMA = r"\s*[+-]?(\d{1,3}(\.\d{3})+|\d*)(,\d+)?\s*"
_WITH_POINT = r"\s*[+-]?\d*\.\d+\s*"


def _texts(column: pd.Series) -> pd.Series:
    """The cells of a column, as far as they are there; none of a column of numbers."""
    import pandas as pd

    known = column.iloc[:0] if pd.api.types.is_numeric_dtype(column) else column.dropna()
    return known.astype(str)


def _has_commas(column: pd.Series) -> bool:
    """Whether a column holds texts, most of them numbers with a decimal comma or points."""
    cells = _texts(column)
    numbers = cells.str.fullmatch(_WITH_COMMA)
    return bool(numbers.mean() > 0.5 and cells[numbers].str.contains("[.,]").any())


def check_columns(
    table: pd.DataFrame,
    names: Iterable[str],
    where: str,
    options: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Check that a table has rows, and these columns.

    Args:
        table: a table.
        names: of the columns that it must have.
        where: what errors call the table.
        options: by name, the option of a command that names another column.

    Raises:
        ArgumentError: a column is not there, or asked for twice.
        DataError: there are no rows.
    """
    asked = list(names)
    known = list(map(str, table.columns))
    for name in asked:
        if name not in table.columns:
            near = [other for other in known if other.strip().casefold() == name.casefold()]
            near = near or difflib.get_close_matches(name, known, 1)
            hint = ""
            if name in options:
                hint = f"; name the one that is meant by {options[name]} (the first row of a file "
                hint += "names its columns)"
            hint = f"; is it {shown(near[0])}?" if near else hint
            raise ArgumentError(
                f"{where} has no column {shown(name)}; it has {shown(', '.join(known), 200)}{hint}"
            )
        if asked.count(name) > 1:
            raise ArgumentError(f"column {shown(name)} is asked for twice")
        if known.count(name) > 1:
            raise ArgumentError(f"{where} has several columns that are called {shown(name)}")
    if not len(table):
        raise DataError(f"{where}: holds no rows")


def as_numbers(column: pd.Series) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """A column as numbers, NaN where it is empty; and in which rows something else stands.

    >>> import pandas as pd
    >>> as_numbers(pd.Series(["1.5", None, "fast"]))
    (array([1.5, nan, nan]), array([2]))
    """
    import pandas as pd

    found = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return found, np.flatnonzero(np.isnan(found) & column.notna().to_numpy())


def in_words(count: int, one: str, many: str) -> str:
    """How many, in words.

    >>> in_words(1, "row has", "rows have"), in_words(2000, "row has", "rows have")
    ('1 row has', '2,000 rows have')
    """
    return f"{count:,} {one if count == 1 else many}"


def plain_text(value: Any) -> str:
    """A value as text; a whole number that stands among fractions is written without a point.

    >>> plain_text(3.0), plain_text(2.5), plain_text("007")
    ('3', '2.5', '007')
    """
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
