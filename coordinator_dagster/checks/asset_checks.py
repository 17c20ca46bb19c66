"""The asset checks: queries whose rows are what is wrong, with the failing windows and rows in the metadata.

They are unpartitioned and look at the whole competition: checks of a partition come out right in runs of a
single partition only.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg

from coordinator_dagster.audit import audit
from coordinator_dagster.audit.queries import ASSETS, END, Query, Violation, read_queries
from coordinator_dagster.competition import Competition
from coordinator_dagster.runtime import Runtime

OWN = Path(__file__).parent / "queries"
WINDOWS_SHOWN = 50


@dataclass(frozen=True)
class Check:
    """A check of an asset: it passes when its queries find nothing. WARN: a state of things; ERROR: a broken rule.

    What only the queries of `warnings` find is never more than a WARN.
    """

    name: str
    asset: str
    description: str
    queries: tuple[str, ...]
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR
    warnings: tuple[str, ...] = ()
    while_open: bool = False  # it looks no further than the moment of the last truth


ALL = "every rule of the audit about the asset"
WARN = dg.AssetCheckSeverity.WARN
CHECKS = (
    Check("complete", "market_records", "Live, the tape is up to date.", ("complete",), WARN, while_open=True),
    Check("gaps", "market_records", "Nothing of the tape is missing.", ("gaps",), WARN),
    Check("duplicates", "predictions", "One forecast per model, config and instant.", ("06_twice",)),
    Check("late_answers", "predictions", "Every model answered in time.", ("late_answers",), WARN),
    Check(
        "health",
        "predictions",
        "Over the last 24 hours models answered at least half of their cycles, none is suspended, and nothing failed "
        "or queued on our side.",
        ("our_faults",),
        warnings=("unhealthy_models", "queueing"),
    ),
    Check("unresolved", "ground_truths", "Every cycle that could be settled by now is.", ("unresolved",), WARN),
    Check("slot_failures", "scores", "The scoring slot scored every answer.", ("slot_failures",), WARN),
    Check(
        "non_finite",
        "scores",
        "Prices, truths, scores and metrics are finite numbers.",
        ("09_records", "09_truth_numbers", "09_scores", "09_board_numbers"),
    ),
    Check("coverage", "leaderboard", "Every model answered enough to be ranked.", ("coverage",), WARN),
    Check("rank_agrees_with_metric", "leaderboard", "Ranks follow from the ranking metric.", ("13_ranks",)),
    Check("versions_mixed", "leaderboard", "The board shown rests on one version of the slots.", ("14_mixed_board",)),
    *(Check("audit", asset, "Its rows keep the contest's rules; `coordinator audit`.", (ALL,)) for asset in ASSETS),
)


def asset_checks(competition: Competition) -> dg.AssetChecksDefinition:
    """All of them as one step: they share a connection's start-up."""
    by_key = {(dg.AssetKey([competition.schema, check.asset]), check.name): check for check in CHECKS}

    @dg.multi_asset_check(
        name=f"{competition.schema}_checks",
        specs=[
            dg.AssetCheckSpec(check.name, asset=key, description=check.description)
            for (key, _), check in by_key.items()
        ],
        can_subset=True,
        pool=f"{competition.schema}_checks",
        required_resource_keys={"runtime"},
    )
    def checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        runtime: Runtime = context.resources.runtime
        last_truth = runtime.store.schedule(competition).last_truth()
        for key in sorted(context.selected_asset_check_keys, key=str):
            check = by_key[(key.asset_key, key.name)]
            end = last_truth if check.while_open and last_truth else END
            found = audit(runtime.store.database, runtime.clock.now(), end=end, queries=_queries(check))
            yield dg.AssetCheckResult(
                passed=not found,
                asset_key=key.asset_key,
                check_name=check.name,
                severity=_severity(check, found),
                metadata=_metadata(competition, found),
            )

    return checks


def _severity(check: Check, found: Sequence[Violation]) -> dg.AssetCheckSeverity:
    only_warnings = {one.query.name for one in found} <= set(check.warnings)
    return WARN if found and only_warnings else check.severity


def _queries(check: Check) -> list[Query]:
    known = {query.name: query for query in [*read_queries(OWN), *read_queries()]}
    if check.queries == (ALL,):
        return [query for query in read_queries() if query.asset == check.asset]
    return [known[name] for name in (*check.queries, *check.warnings)]


def _metadata(competition: Competition, found: Sequence[Violation]) -> dict[str, Any]:
    """How many rows fail, in which windows, and the first of them as tables."""
    windows = sorted(
        {
            competition.windows.at(moment).key
            for violation in found
            for row in violation.rows
            if (moment := _moment(row)) is not None
        }
    )
    metadata: dict[str, Any] = {"failing_rows": sum(violation.count for violation in found)}
    if windows:
        metadata["failing_windows"] = dg.MetadataValue.text(", ".join(windows[:WINDOWS_SHOWN]))
    for violation in found:
        query = violation.query
        metadata[query.name] = dg.MetadataValue.md(f"{query.title}\n\n{_table(violation.rows)}")
    return metadata


def _moment(row: Mapping[str, Any]) -> datetime | None:
    """The instant or window that a row is about."""
    named = [row.get(name) for name in ("window_start", "performed_at")]
    return next((value for value in [*named, *row.values()] if isinstance(value, datetime)), None)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: Any) -> str:
    """As plain text: some of it is what participants' code said, and would be Markdown to the operator's browser."""
    return re.sub(r"([\\`\[\]<>|])", r"\\\1", " ".join(str(value).split()))
