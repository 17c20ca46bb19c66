"""The job `<competition>_live`: one long run a window, in which the competition happens."""

import asyncio
import signal
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import dagster as dg
import psycopg2
from dagster_postgres.utils import DagsterPostgresException

from coordinator_dagster.assets.leaderboard import board_table
from coordinator_dagster.assets.plots import price_and_forecasts
from coordinator_dagster.assets.predictions import how_models_were_run
from coordinator_dagster.assets.window_asset import describe
from coordinator_dagster.audit.queries import ASSETS
from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError
from coordinator_dagster.live.leasing import LeaseLost, Taken
from coordinator_dagster.live.live_run import LiveFaults, live_run
from coordinator_dagster.partitions import window_partitions
from coordinator_dagster.queues import queue_tag
from coordinator_dagster.runtime import Runtime, open_runtime
from coordinator_dagster.windows import Window

OBSERVED = ("market_records", "predictions", "leaderboard")
EXTRA = {"predictions": how_models_were_run, "scores": price_and_forecasts, "leaderboard": board_table}
TERMINATE = (signal.SIGINT, signal.SIGTERM)  # Dagster sends the first, a machine that shuts down the second
LIVE_TAGS = {
    # The sensor is the only mechanism that starts a live run again, and nothing queued comes before one.
    "dagster/max_retries": "0",
    "dagster/priority": "100",
}


def live_job_name(competition: Competition) -> str:
    return f"{competition.schema}_live"


def live_job(competition: Competition) -> dg.JobDefinition:
    """A live run of the chosen window; the sensor launches it, and it may be launched by hand."""

    @dg.op(name=f"{competition.schema}_live_run")
    def run(context: dg.OpExecutionContext) -> None:
        window = competition.windows.of_key(context.partition_key)
        try:
            with TellDagster(context, competition) as tell, open_runtime(competition) as runtime:
                context.log.info(until_terminated(live_run(runtime, window, context.run_id, tell)))
        except (UserError, Taken, LeaseLost, LiveFaults) as error:
            raise dg.Failure(str(error), allow_retries=False) from None

    @dg.job(
        name=live_job_name(competition),
        description="Listen, perform every cycle on time, settle, and close the window. One run holds the lease and "
        "works; the next window's waits, and takes over at the window's end or when the first one dies.",
        partitions_def=window_partitions(competition, ahead=2),
        tags=LIVE_TAGS | queue_tag(competition, "live"),
    )
    def live() -> None:
        run()

    return live


def until_terminated(work: Coroutine[Any, Any, str]) -> str:
    """What the work returns. Terminated, only the work is cancelled: what it waits for at its end goes on.

    Dagster's own handler would raise in the midst of whatever callback is being run, and be lost there.
    """

    async def main() -> str:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task
        asked: list[bool] = []

        def terminate() -> None:
            if not asked:  # again, it would cut off what is done at the end
                asked.append(task.cancel())

        for one in TERMINATE:
            loop.add_signal_handler(one, terminate)
        return await work

    before = {one: signal.getsignal(one) for one in TERMINATE}
    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        raise dg.DagsterExecutionInterruptedError from None
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


class TellDagster:
    """Into the run's log, and onto the window's partitions. A line costs 10 ms: it has a thread of its own."""

    def __init__(self, context: dg.OpExecutionContext, competition: Competition) -> None:
        self._context, self._competition = context, competition
        self._lines = ThreadPoolExecutor(1, "log")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.shutdown()

    def log(self, text: str) -> None:
        self._lines.submit(self._context.log.info, text)

    def problem(self, text: str) -> None:
        self._lines.submit(self._context.log.warning, text)

    def observed(self, runtime: Runtime, window: Window) -> None:
        for name in OBSERVED:
            metadata = self._metadata(runtime, name, window)
            if name == "market_records":
                metadata |= {f"complete_through {one}": str(at) for one, at in _completeness(runtime).items()}
            self._event(dg.AssetObservation(self._key(name), partition=window.key, metadata=metadata))

    def closed(self, runtime: Runtime, window: Window) -> None:
        for name in ASSETS:
            metadata = self._metadata(runtime, name, window)
            self._event(dg.AssetMaterialization(self._key(name), partition=window.key, metadata=metadata))

    def frozen(self, day: str) -> None:
        self._event(dg.AssetMaterialization(self._key("emission_checkpoints"), partition=day))

    def _event(self, event: dg.AssetObservation | dg.AssetMaterialization) -> None:
        try:
            self._context.log_event(event)
        except DagsterPostgresException as error:  # Dagster's word for a server that is away
            raise psycopg2.OperationalError(str(error)) from error

    def _key(self, name: str) -> dg.AssetKey:
        return dg.AssetKey([self._competition.schema, name])

    def _metadata(self, runtime: Runtime, name: str, window: Window) -> dict[str, Any]:
        return describe(runtime, name, [window], EXTRA.get(name))[window]


def _completeness(runtime: Runtime) -> dict[str, object]:
    tape = runtime.store.tape
    return {str(one): tape.complete_through([one]) for one in tape.series()}
