"""Posts to FAILURE_WEBHOOK_URL when something becomes unhealthy, becomes worse or better, and is over."""

import dagster as dg
from pydantic import SecretStr

from coordinator_dagster.competition import Competition
from coordinator_dagster.health.dagster_tables import DagsterTables
from coordinator_dagster.health.judging import healthy, judge
from coordinator_dagster.health.look import Look
from coordinator_dagster.health.news import News, Seen, news_of
from coordinator_dagster.webhook import post

EVERY_SECONDS = 30
TOLD_ELSEWHERE = ("checks ERROR", "checks WARN", "runs")  # by the sensors of their own, with more to say


def health_sensor(competition: Competition, webhook: SecretStr) -> dg.SensorDefinition:
    """It only tells: what acts are the other sensors."""
    on = competition.settings.sensors
    looks: list[Look] = []  # opened at the first evaluation: definitions touch no database

    @dg.sensor(
        name=f"{competition.schema}_health_sensor",
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if on else dg.DefaultSensorStatus.STOPPED,
        description="Posts what `coordinator status` finds to the webhook of FAILURE_WEBHOOK_URL: when it has lasted "
        "two looks, when its severity changes, and when it is over. A message that is not taken fails the tick.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        if not looks:
            looks.append(Look(competition))
        findings = judge(competition, looks[0].take(DagsterTables.of(context.instance)))
        own = [one for one in findings if one.what not in TOLD_ELSEWHERE]
        news, seen = news_of(Seen.model_validate_json(context.cursor or "{}"), own)
        if news:
            post(webhook, message(competition, news, healthy(findings)))
        context.update_cursor(seen.model_dump_json())
        return dg.SkipReason("; ".join(f"{one.severity}: {one.why}" for one in findings) or "healthy")

    return sensor


def message(competition: Competition, news: News, well: bool) -> str:
    """The verdict, what is new with its remedy, and what is over."""
    lines = [f"{competition.settings.competition} is {'healthy' if well else 'not healthy'}"]
    for one in news.begun:
        lines += [f"{one.severity}: {one.why}", f"What to do: {one.remedy}"]
    return "\n".join([*lines, *(f"over: {words}" for words in news.over)])
