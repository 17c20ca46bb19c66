"""The jobs an operator launches."""

from enum import Enum
from typing import Any, get_args

import dagster as dg
from pydantic import Field

from coordinator_dagster.cli.moments import parse_moment
from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError
from coordinator_dagster.levers.carry_out import carry_out
from coordinator_dagster.levers.request import Request
from coordinator_dagster.orders import OrderKind
from coordinator_dagster.queues import queue_tag
from coordinator_dagster.resources import runtime_of_run

Kind = Enum("Kind", {kind: kind for kind in get_args(OrderKind)})  # type: ignore[misc]


def loop_job_name(competition: Competition) -> str:
    return f"{competition.schema}_loop"


def emission_job_name(competition: Competition) -> str:
    return f"{competition.schema}_emission"


def loop_job(competition: Competition) -> dg.JobDefinition:
    """Every windowed asset, for as many windows as it is launched with."""
    everything = dg.AssetSelection.groups("ingest", "infer", "resolve", "score", "rank")
    return dg.define_asset_job(  # type: ignore[return-value]
        loop_job_name(competition),
        selection=everything.without_checks(),
        description="Ingest, infer, resolve, score and rank the chosen windows, in one run.",
        tags=queue_tag(competition, "batch"),
    )


def emission_job(competition: Competition) -> dg.JobDefinition:
    """The days' boards."""
    return dg.define_asset_job(  # type: ignore[return-value]
        emission_job_name(competition),
        selection=dg.AssetSelection.assets([competition.schema, "emission_checkpoints"]),
        description="Freeze the final boards of the chosen days, in one run.",
        tags=queue_tag(competition, "batch"),
    )


def checks_job_name(competition: Competition) -> str:
    return f"{competition.schema}_checks_job"


def checks_job(competition: Competition) -> dg.JobDefinition:
    """Every asset check."""
    return dg.define_asset_job(  # type: ignore[return-value]
        checks_job_name(competition),
        selection=dg.AssetSelection.all_asset_checks(),
        description="Look for what is missing, late, unresolved or against the rules, over the whole competition.",
        tags=queue_tag(competition, "batch"),
    )


class OrderConfig(dg.Config):
    """What `coordinator order` takes, for the launchpad."""

    kind: Kind = Field(description="which lever")
    reason: str = Field(description="why; kept with the order and shown to participants")
    given_by: str = Field("dagster", description="who gives it")
    at: str = Field("", description="the instant it holds from, UTC; correct: the record's ts_event; default now")
    until: str = Field("", description="void, revise: the last instant of a range")
    model: str = Field("", description="disqualify, reinstate, leave: the model's id")
    config: str = Field("", description="void, revise: a prediction config's id; empty: all")
    series: str = Field("", description="correct: provider/asset/kind/granularity")
    values: dict[str, float] = Field({}, description="correct: all values; empty: what the venue restated")


def order_job_name(competition: Competition) -> str:
    return f"{competition.schema}_order"


def order_job(competition: Competition) -> dg.JobDefinition:
    """The operator's levers, from the launchpad."""

    @dg.op(name=f"{competition.schema}_give_order", pool=f"{competition.schema}_batch")
    def give_order(context: dg.OpExecutionContext, config: OrderConfig) -> None:
        try:
            as_it_stands = config.kind == Kind["configs"]
            with runtime_of_run(competition, context.run_id, as_it_stands) as runtime:
                outcome = carry_out(runtime, _request(config))
        except UserError as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        context.add_output_metadata({"order": outcome.order, "done": "\n".join(outcome.done) or "recorded"})

    @dg.job(
        name=order_job_name(competition),
        description="Give an order, with a reason: end, pause, resume, disqualify, reinstate, leave, void, revise, "
        "correct, configs. The same as `coordinator order`.",
        # An order that was recorded before the run died would be given twice.
        tags={"dagster/max_retries": "0"} | queue_tag(competition, "batch"),
    )
    def order() -> None:
        give_order()

    return order


def _request(config: OrderConfig) -> Request:
    given: dict[str, Any] = {
        name: parse_moment(name, value) for name, value in (("at", config.at), ("until", config.until)) if value
    }
    return Request(
        config.kind.value,
        config.reason,
        config.given_by,
        model=config.model or None,
        config=config.config or None,
        series=config.series or None,
        values=config.values or None,
        **given,
    )
