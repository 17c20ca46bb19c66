"""Posts to FAILURE_WEBHOOK_URL when something becomes unhealthy, becomes worse or better, and is over.

And what the webhook had not taken of the sensors that look at each run but once.
"""

import dagster as dg
from pydantic import SecretStr

from coordinator_dagster.competition import Competition
from coordinator_dagster.health.dagster_tables import DagsterTables
from coordinator_dagster.health.finding import many
from coordinator_dagster.health.judging import healthy, judge
from coordinator_dagster.health.look import Look
from coordinator_dagster.health.news import News, Seen, news_of
from coordinator_dagster.sensors.untold import digest, untold
from coordinator_dagster.webhook import NotPosted, post

EVERY_SECONDS = 30
TOLD_ELSEWHERE = ("checks ERROR", "checks WARN", "runs")  # by the sensors of their own, with more to say
OTHERS = ("failure", "checks")  # sensors that look at each run but once


class Kept(Seen):
    """The cursor. `through`: the end (Unix time) of the newest failed tick whose message is told, by its sensor."""

    through: dict[str, float] = {}


def health_sensor(competition: Competition, webhook: SecretStr) -> dg.SensorDefinition:
    """It only tells: what acts are the other sensors."""
    on = competition.settings.sensors
    looks: list[Look] = []  # opened at the first evaluation: definitions touch no database

    @dg.sensor(
        name=f"{competition.schema}_health_sensor",
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if on else dg.DefaultSensorStatus.STOPPED,
        description="Posts what `coordinator status` finds to the webhook of FAILURE_WEBHOOK_URL: when it has lasted "
        "two looks, when its severity changes, and when it is over; and what the webhook had not taken of the failure "
        "and checks sensors. A message that is not taken is posted at the next look.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        if not looks:
            looks.append(Look(competition))
        findings = judge(competition, looks[0].take(DagsterTables.of(context.instance)))
        own = [one for one in findings if one.what not in TOLD_ELSEWHERE]
        kept = Kept.model_validate_json(context.cursor or "{}")
        news, seen = news_of(kept, own)
        through, waiting = kept.through, 0
        if news:
            post(webhook, message(competition, news, healthy(findings)))
        else:  # one post a look: two that are tried four times may take longer than a sensor has
            through, waiting = _tell_untold(competition, webhook, context.instance, kept.through)
        context.update_cursor(Kept(**dict(seen), through=through).model_dump_json())
        said = [f"{one.severity}: {one.why}" for one in findings]
        if waiting:
            said.append(f"{many(waiting, 'message')} of other sensors the webhook has still not taken")
        return dg.SkipReason("; ".join(said) or "healthy")

    return sensor


def message(competition: Competition, news: News, well: bool) -> str:
    """The verdict, what is new with its remedy, and what is over."""
    lines = [f"{competition.settings.competition} is {'healthy' if well else 'not healthy'}"]
    for one in news.begun:
        lines += [f"{one.severity}: {one.why}", f"What to do: {one.remedy}"]
    return "\n".join([*lines, *(f"over: {words}" for words in news.over)])


def _tell_untold(
    competition: Competition, webhook: SecretStr, instance: dg.DagsterInstance, through: dict[str, float]
) -> tuple[dict[str, float], int]:
    """Through when the others' messages are told now, and how many are still not taken.

    That does not fail the look: what is news must be told even where only these are refused.
    """
    found, ends = untold(instance, [f"{competition.schema}_{one}_sensor" for one in OTHERS], through)
    try:
        if found:
            post(webhook, digest(competition.settings.competition, found))
    except NotPosted:
        return through, len(found)
    return ends, 0
