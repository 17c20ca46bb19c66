"""A day of a series as a Parquet file: where it is, what it holds, and how it is read back.

`day=2023-03-24/asset=BTC/kind=candle/binance-1m.parquet`, below the competition's archive folder. Every file has the
same columns, so that pandas, polars and DuckDB read all of them at once; day, asset and kind stand in the path alone.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from coordinator_dagster.errors import UserError, first_line
from slots.market import VALUE_NAMES, Kind, MarketRecord, Series

MOMENT = pa.timestamp("us", tz="UTC")
TIMES = ("ts_event", "event_end", "known_at", "ts_ingested")
VALUES = (*VALUE_NAMES["tick"], *VALUE_NAMES["candle"])
# `meta` is JSON text. A tick has a price only, a candle none: the others are null.
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("provider", "granularity")),
        *((name, MOMENT) for name in TIMES),
        *((name, pa.float64()) for name in VALUES),
        ("meta", pa.string()),
    ]
)
PATH = re.compile(
    r"day=(?P<day>\d{4}-\d\d-\d\d)/asset=(?P<asset>[^/]+)/kind=(?P<kind>tick|candle)/"
    r"(?P<provider>[^/]+)-(?P<granularity>[1-9]\d*[smhd])\.parquet"
)
THROUGH = b"complete_through"  # in a file's metadata: through when the series was complete, as far as its day goes
LONGEST_NAME = 255  # of a folder or a file, in bytes
EPOCH, DAY, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(days=1), timedelta(microseconds=1)
ROWS = 50_000  # read at once


class BadFile(UserError):
    """An archived file that cannot be used: which, what is wrong, and what to do."""

    def __init__(self, path: Path, wrong: object) -> None:
        super().__init__(f"{path}: {wrong}; restore it from a copy, or remove it")


@dataclass(frozen=True, order=True)
class DayFile:
    """A series on one UTC day, by ts_event."""

    series: Series
    day: date

    @property
    def start(self) -> datetime:
        return midnight(self.day)

    @property
    def end(self) -> datetime:
        return self.start + DAY

    @property
    def path(self) -> PurePosixPath:
        """Below the archive folder; UserError for a name that no folder can have."""
        series = self.series
        asset = f"asset={quote(series.asset, safe='')}"
        file = f"{quote(series.provider, safe='')}-{series.granularity}.parquet"
        if not series.asset or not series.provider or max(len(asset), len(file)) > LONGEST_NAME - len(".tmp."):
            raise UserError(f"{series}: its name is empty or too long for a folder; name the asset differently")
        return PurePosixPath(f"day={self.day.isoformat()}", asset, f"kind={series.kind}", file)


@dataclass(frozen=True)
class Archived:
    """A file as it was written. `complete`: its series was complete through the day's end."""

    file: DayFile
    rows: int
    bytes: int
    sha256: str
    complete: bool
    archived_at: datetime | None = None


def midnight(day: date) -> datetime:
    """The beginning of a UTC day."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def day_file(path: str) -> DayFile | None:
    """What the file at that path, below the archive folder, holds; None: it is not named like one."""
    if not (match := PATH.fullmatch(path)):
        return None
    try:
        day = date.fromisoformat(match["day"])
    except ValueError:
        return None
    kind: Kind = "tick" if match["kind"] == "tick" else "candle"
    series = Series(unquote(match["provider"]), unquote(match["asset"]), kind, match["granularity"])
    return DayFile(series, day)


def exact_file(path: str) -> DayFile | None:
    """The same for a path that somebody else sent: None, too, where its own path is not written exactly so."""
    file = day_file(path)
    try:
        return file if file and str(file.path) == path else None
    except UserError:  # a name that no folder can have
        return None


def read_ends(folder: Path, file: DayFile) -> tuple[datetime, datetime]:
    """The first `ts_event`, and through when everything is known; of its metadata, no record is read. BadFile."""
    path = folder / file.path
    with _opened(path) as parquet:
        metadata = parquet.metadata
        column = SCHEMA.get_field_index("ts_event")
        ends = [metadata.row_group(number).column(column).statistics for number in range(metadata.num_row_groups)]
        if not metadata.num_rows or any(one is None or not one.has_min_max for one in ends):
            raise BadFile(path, "it holds no records")
        first, last = ends[0].min, ends[-1].max + file.series.step
        through = (metadata.metadata or {}).get(THROUGH, b"").decode()
        return first.astimezone(UTC), max(last.astimezone(UTC), datetime.fromisoformat(through) if through else last)


def row_count(path: Path) -> int:
    """How many records a file holds; BadFile when it is none."""
    with _opened(path) as parquet:
        return int(parquet.metadata.num_rows)


def read_records(folder: Path, file: DayFile, start: datetime, end: datetime) -> Iterator[MarketRecord]:
    """The records with `start <= ts_event < end`, oldest first, some ten thousand at a time; BadFile."""
    path = folder / file.path
    first, stop = _micros(max(start, file.start)), _micros(min(end, file.end))
    last = _micros(file.start) - 1
    with _opened(path) as parquet:
        batches = parquet.iter_batches(ROWS)
        while (batch := _next(path, batches)) is not None:
            times = _checked(path, file, batch, last)
            last = int(times[-1])
            left, right = np.searchsorted(times, [first, stop])
            yield from _records(path, file.series, batch.slice(left, right - left))


def check(folder: Path, file: DayFile) -> None:
    """Read all of it; BadFile when something is wrong with it."""
    read_ends(folder, file)
    for _ in read_records(folder, file, file.start, file.end):
        pass


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    """The Parquet file, whose columns are the archive's; each page's checksum is verified when it is read."""
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise BadFile(path, f"it cannot be read as Parquet ({_first_line(error)})") from None
    with file:
        found = file.schema_arrow.remove_metadata()
        if not found.equals(SCHEMA):
            raise BadFile(path, f"its columns are {_named(found)}, not the archive's {_named(SCHEMA)}")
        yield file


def _next(path: Path, batches: Iterator[pa.RecordBatch]) -> pa.RecordBatch | None:
    try:
        return next((one for one in batches if one.num_rows), None)
    except (OSError, pa.ArrowException) as error:
        raise BadFile(path, f"it is damaged ({_first_line(error)})") from None


def _checked(path: Path, file: DayFile, batch: pa.RecordBatch, after: int) -> npt.NDArray[np.int64]:
    """The `ts_event` of each row, microseconds since the epoch, once nothing is wrong with any row."""
    series, step = file.series, file.series.step // MICROSECOND

    def refuse(bad: npt.NDArray[np.bool_], wrong: str) -> None:
        if bad.any():
            row = batch.slice(int(bad.argmax()), 1).to_pylist()[0]
            shown = {name: str(value) for name, value in row.items() if value is not None}
            raise BadFile(path, f"a record {wrong}: {shown}")

    def nulls(name: str) -> npt.NDArray[np.bool_]:
        return np.asarray(batch.column(name).is_null())

    for name in ("provider", "granularity", *TIMES, "meta"):
        refuse(nulls(name), f"without {name}")
    times = {name: batch.column(name).cast(pa.int64()).to_numpy() for name in TIMES}
    for name in ("provider", "granularity"):
        of_another = np.array(batch.column(name).to_numpy(zero_copy_only=False) != getattr(series, name), dtype=bool)
        refuse(of_another, f"of another {name} than its path says")
    events = times["ts_event"]
    refuse(np.diff(events, prepend=after) <= 0, "is not after the one before it, or not of its day")
    refuse(events >= _micros(file.end), "is not of its day")
    refuse(events % max(step, 1) != 0, f"is not on the grid of {series.granularity}")
    refuse(times["event_end"] != events + step, "whose event_end is not its ts_event and its granularity")
    refuse(times["known_at"] < times["event_end"], "was known before its event was over")
    for name in VALUES:
        if name not in VALUE_NAMES[series.kind]:
            refuse(~nulls(name), f"of a {series.kind} has a {name}")
            continue
        numbers = batch.column(name).to_numpy(zero_copy_only=False)  # null is NaN
        good = np.isfinite(numbers) & ((numbers >= 0) if name == "volume" else (numbers > 0))
        refuse(~good, f"whose {name} is not a positive finite number")
    return events


def _records(path: Path, series: Series, batch: pa.RecordBatch) -> Iterator[MarketRecord]:
    names = VALUE_NAMES[series.kind]
    times = [batch.column(name).cast(pa.int64()).to_pylist() for name in ("ts_event", "known_at", "event_end")]
    values, metas = [batch.column(name).to_pylist() for name in names], batch.column("meta").to_pylist()
    for (ts_event, known_at, event_end), meta, *numbers in zip(zip(*times, strict=True), metas, *values, strict=True):
        yield MarketRecord(
            series,
            EPOCH + timedelta(microseconds=ts_event),
            dict(zip(names, numbers, strict=True)),
            EPOCH + timedelta(microseconds=known_at),
            EPOCH + timedelta(microseconds=event_end),
            _meta(path, meta),
        )


def _meta(path: Path, text: str) -> dict[str, object]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise BadFile(path, f"a record's meta is {json.dumps(text)[:80]}, not a JSON object")
    return found


def _micros(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


def _named(schema: pa.Schema) -> str:
    return ", ".join(f"{one.name} {one.type}" for one in schema)


def _first_line(error: BaseException) -> str:
    return first_line(error) or type(error).__name__
