"""A folder of recorded CSV files, played as a feed whose tape has ended for good."""

import gzip
import io
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import pandas as pd

from coordinator_dagster.clock import Clock
from coordinator_dagster.errors import UserError, UserErrors
from coordinator_dagster.feeds.base import MICROSECOND, Offer
from coordinator_dagster.feeds.folder_feed import FolderFeed
from slots.market import Kind, MarketRecord, Series, history_record

COLUMNS = {"candle": ("open", "high", "low", "close", "volume"), "tick": ("price", "quantity")}
MAY_BE_ZERO = ("volume", "quantity")
FILE_NAME = re.compile(
    r"(?P<provider>[^_]+)_(?P<asset>.+)_(?:tick|candle_(?P<granularity>[1-9]\d*[smhd]))\.csv(?:\.gz)?"
)
UTC_TEXT = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:\d\d)"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class _Tape:
    """One parsed file, a row for each of n distinct timestamps, oldest first.

    `times` (n,) int64, microseconds since the epoch; `values` (n, 5) for candles or (n, 1), the last price,
    for ticks; `quantities` (n,) base asset and `trades` (n,) counts per timestamp, both empty for candles.
    """

    times: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    quantities: npt.NDArray[np.float64]
    trades: npt.NDArray[np.int64]

    def records(self, series: Series, first: int, stop: int) -> Iterator[MarketRecord]:
        names = COLUMNS[series.kind][: self.values.shape[1]]
        rows = zip(self.times[first:stop].tolist(), self.values[first:stop].tolist(), strict=True)
        for row, (time, numbers) in enumerate(rows, first):
            meta = None
            if len(self.trades):
                meta = {"quantity": float(self.quantities[row]), "trades": int(self.trades[row])}
            values = dict(zip(names, numbers, strict=True))
            yield history_record(series, EPOCH + timedelta(microseconds=time), values, meta=meta)


def _parse(path: Path, series: Series, source: Path | IO[str], rows: Sequence[int] | None = None) -> _Tape:
    """The tape in `source` (the file at `path`, or an excerpt of it whose data rows have numbers `rows`).

    Raises UserError naming file, row (data rows count from 1), column, value and remedy.
    """

    def refuse(bad: npt.NDArray[np.bool_], column: str, wrong: str) -> None:
        if bad.any():
            at = int(bad.argmax())
            number, value = rows[at] if rows else at + 1, frame[column].iloc[at]
            raise UserError(f"{path}: row {number}, column {column}: {value!r} {wrong}")

    try:
        frame = pd.read_csv(source, dtype=str, keep_default_na=False)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read as CSV ({error}); replace or remove the file") from error
    names = COLUMNS[series.kind]
    wanted, found = {"ts_event", *names}, set(frame.columns)
    if wanted != found:
        raise UserError(
            f"{path}: columns {', '.join(frame.columns)}: missing {sorted(wanted - found)}, unknown "
            f"{sorted(found - wanted)}; the header of a {series.kind} file is ts_event,{','.join(names)}"
        )
    if frame.empty:
        raise UserError(f"{path}: has no rows; record some or remove the file")

    text = frame["ts_event"]
    moments = pd.to_datetime(text.where(text.str.fullmatch(UTC_TEXT)), format="ISO8601", utc=True, errors="coerce")
    refuse(moments.isna().to_numpy(), "ts_event", "is not a time in UTC; write it like 2023-03-16T22:15:00Z")
    times = moments.to_numpy(dtype="datetime64[us]").astype(np.int64)
    columns = []
    for name in names:
        try:  # float() reads a number as the venue's feed does: the same bits, which pandas does not promise
            numbers = np.array([float(cell) for cell in frame[name]])
        except ValueError:
            numbers = pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype=np.float64)
        usable = np.isfinite(numbers) & ((numbers >= 0) if name in MAY_BE_ZERO else (numbers > 0))
        refuse(~usable, name, "is not a positive finite number; correct or remove the row")
        columns.append(numbers)
    values = np.column_stack(columns)

    apart, first_row = np.diff(times), np.array([False])
    same = apart == 0
    if series.kind == "candle":
        grid = series.step // MICROSECOND
        refuse(times % grid != 0, "ts_event", f"is not the opening of a {series.granularity} candle; correct it")
        same &= (values[1:] == values[:-1]).all(axis=1)
        repeated = np.append(first_row, (apart == 0) & ~same)
        refuse(repeated, "ts_event", "repeats the row before with other values; remove the wrong one")
    refuse(np.append(first_row, apart < 0), "ts_event", "is before the row above; sort the file by ts_event")
    if series.kind == "candle":
        kept = np.append([True], ~same)
        return _Tape(times[kept], values[kept], np.empty(0), np.empty(0, np.int64))
    last = np.flatnonzero(np.append(~same, [True]))
    starts = np.append([0], last[:-1] + 1)
    # fsum: the exact sum, so that no order or paging of the same trades can change a digit
    sums = [math.fsum(values[a : b + 1, 1]) for a, b in zip(starts, last, strict=True)]
    return _Tape(times[last], values[last, :1], np.array(sums), last - starts + 1)


class ReplayFeed(FolderFeed):
    """Recorded history out of `PROVIDER_ASSET_candle_1m.csv.gz` and `PROVIDER_ASSET_tick.csv.gz` (or `.csv`).

    Columns: `ts_event` (UTC; a candle's open time) and `open,high,low,close,volume` or `price,quantity`. A
    tick is the last trade at its timestamp, with `quantity` (summed) and `trades` (counted) in its meta.
    Raises UserError for a folder that is missing, empty or holds nothing of `provider`.
    """

    def __init__(self, directory: Path, provider: str | None, clock: Clock) -> None:
        self._files: dict[Series, Path] = {}
        self._tapes: dict[Series, _Tape] = {}
        self._faults: list[str] = []
        if not directory.is_dir():
            raise UserError(f"FEED_TAPE_DIR: {directory} is not a folder; point it at one with recorded CSV files")
        for path in sorted(directory.iterdir()):
            if not path.name.endswith((".csv", ".csv.gz")):
                continue
            if not (match := FILE_NAME.fullmatch(path.name)):
                self._faults.append(
                    f"{path}: is not named PROVIDER_ASSET_candle_1m.csv.gz or PROVIDER_ASSET_tick.csv.gz; "
                    "rename or remove it"
                )
                continue
            kind: Kind = "candle" if match["granularity"] else "tick"
            series = Series(match["provider"], match["asset"], kind, match["granularity"] or "1s")
            if (twin := self._files.setdefault(series, path)) != path:
                self._faults.append(f"{path}: {twin.name} holds the same series; remove one of them")
        if not self._files and not self._faults:
            below = ", ".join(sorted({one.parent.name for one in directory.glob("*/day=*/")}))
            archives = f"; it has the archives {below}: point it at one of them" if below else ""
            raise UserError(f"FEED_TAPE_DIR: no *_candle_1m.csv.gz or *_tick.csv.gz in {directory}{archives}")
        super().__init__(directory, self._files, provider, clock)

    def list_assets(self) -> Sequence[Offer]:
        """Every series with its first `ts_event` and its last event end; UserErrors naming every bad file."""
        offers, faults = [], list(self._faults)
        for series in self._chosen:
            try:
                ends = self._tapes.get(series) or _parse_ends(self._files[series], series)
            except UserError as error:
                faults.append(str(error))
                continue
            first, last = (EPOCH + int(ends.times[at]) * MICROSECOND for at in (0, -1))
            offers.append(Offer(series, first, last + series.step))
        if faults:
            raise UserErrors(faults)
        return offers

    def known_through(self, series: Series) -> datetime:
        """The event end of the last record on the tape."""
        return EPOCH + int(self._tape(series).times[-1]) * MICROSECOND + series.step

    def fetch(self, series: Series, start: datetime, end: datetime) -> Iterator[MarketRecord]:
        tape = self._tape(series)
        bounds = [-((EPOCH - moment) // MICROSECOND) for moment in (start, end)]
        first, stop = np.searchsorted(tape.times, bounds)
        return tape.records(series, int(first), int(stop))

    def _tape(self, series: Series) -> _Tape:
        if series not in self._chosen:
            raise self._absent(str(series))
        if series not in self._tapes:
            path = self._files[series]
            self._tapes[series] = _parse(path, series, path)
        return self._tapes[series]


def _parse_ends(path: Path, series: Series) -> _Tape:
    """The first and the last row of a file as a tape, without parsing what lies between."""
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            head = [line for _, line in zip(range(2), file, strict=False)]
            middle, line = 0, ""
            for middle, line in enumerate(file, 1):  # noqa: B007
                pass
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read ({error}); replace or remove the file") from error
    return _parse(path, series, io.StringIO("".join([*head, line])), rows=(1, middle + 1))
