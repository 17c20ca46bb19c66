"""A live competition at the stand-in exchange, in a schema of its own: several assets, kinds and granularities."""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock

from sqlalchemy import create_engine, text

from coordinator_dagster.competition import Competition, read_competition
from coordinator_dagster.packs import available_packs
from coordinator_dagster.store.database import with_driver
from tests.faults.truth import SERIES
from tests.faults.venue import Venue


def make_competition(
    name: str, venue: Venue, home: Path, database_url: str, start: datetime, **settings: Any
) -> Competition:
    """It begins at `start`, an hour, and its feed soon loses patience."""
    pack = json.loads(available_packs()["realtime"].read_text()) | {"id": "faults"}
    pack["series"] = [{"asset": s.asset, "kind": s.kind, "granularity": s.granularity} for s in SERIES]
    pack["scheduled_prediction_configs"][0]["scope_template"]["horizon_seconds"] = 300  # not less than a candle
    path = home / "pack.json"
    path.write_text(json.dumps(pack))
    chosen = {
        "competition": name,
        "mode": "live",
        "database_url": database_url,
        "competition_start": start.isoformat(),
        "pack": path,
        "feed_provider": "binance",
        "feed_base_url": venue.url,
        "feed_stream_url": venue.stream_url,
        "feed_patience_seconds": 1.5,
        "clock_url": venue.clock_url,
        **settings,
    }
    with mock.patch.dict(os.environ, {name.upper(): str(value) for name, value in chosen.items()}):
        return read_competition(home)


def drop(url: str, schema: str) -> None:
    engine = create_engine(with_driver(url))
    with engine.begin() as connection:
        connection.execute(text(f"drop schema if exists {schema} cascade"))
    engine.dispose()
