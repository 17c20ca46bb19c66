"""What anybody may read of a reason: what happened and by which rule, not in whose words."""

import re

from coordinator_dagster.stages.ingest import ENDED, LATE, UNSERVED
from coordinator_dagster.store.gap_queries import (
    AGED,
    BEFORE_FIRST,
    CAME,
    GIVEN_UP,
    NOT_YET_AGREED,
    NOTHING_TRADED,
    TRADES_CAME,
)

CHARGE = re.compile(
    r"CHARGED: ([A-Z_]+|no score), (?:.*, )?(the worst score|the \d+th percentile of \d+ answers)", re.S
)
OF_GAPS = {ENDED, LATE, UNSERVED, AGED, BEFORE_FIRST, CAME, NOTHING_TRADED, NOT_YET_AGREED, TRADES_CAME}
NUMBERED = re.compile(r"trades \d+ to \d+ are missing")


def public_reason(status: str | None, reason: str | None) -> str | None:
    """What anybody may read of a score's reason: what happened and the rule, not what was raised.

    `status` is the score's. A VOID truth's reason is the truth's, and that is public.
    """
    if reason is None:
        return None
    if status == "CHARGED":
        found = CHARGE.fullmatch(reason)
        return f"CHARGED: {found[1]}, {found[2]}" if found else "CHARGED"
    if reason.startswith("VOID: ") or re.fullmatch(r"not charged: ([A-Z_]+|our fault)", reason):
        return reason
    return "the answer could not be scored"


def public_gap_reason(reason: str) -> str:
    """Why a range of the tape is missing. What a feed said when it failed may hold its address, and what is in that."""
    first, given_up, last = reason.rpartition(GIVEN_UP)
    known = last in OF_GAPS or NUMBERED.fullmatch(last)
    return first + given_up + (last if known else "the feed did not answer")
