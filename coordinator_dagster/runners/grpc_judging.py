"""Whose fault it is, rule 12: what came of an instant over gRPC, as answers. The table is in docs/rules.md."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from coordinator_dagster.runners.base import Answer, AnswerStatus
from coordinator_dagster.runners.grpc_asking import Asked, Instant
from coordinator_dagster.runners.grpc_nodes import Said
from coordinator_dagster.runners.grpc_roster import Standing

ANSWERED = {"SUCCESS", "MODEL_FAILED", "BAD_IMPLEMENTATION", "TOO_LONG", "UNREADABLE"}  # the node understood us
NO_ANSWER = {"DEADLINE_EXCEEDED", "UNANSWERED"}
SETUP, TICK = -2, -1  # the places of these, before the calls
OURS = 0.1  # a model that lost more than this part of its time to us did not fail

Verdict = tuple[AnswerStatus, str]


@dataclass(frozen=True)
class Circumstances:
    """What an instant's answers are judged by; times are the loop's, in seconds."""

    instant: Instant
    now: float
    lost: str = ""  # why what the orchestrator says is not known, where it is not
    connecting: bool = False  # the orchestrator's list has come just now
    first: bool = False  # nobody has been asked by this runner before
    understood: Collection[int] = (SETUP, TICK)  # what some node did as it was told: that is as it should be


def understood(asked: Iterable[Asked]) -> set[int]:
    """Which of the calls (by place, also SETUP and TICK) some node did as it was told."""
    found = set()
    for one in asked:
        found |= {SETUP} if one.present else set()
        found |= {place for place, said in enumerate((one.tick, *one.said), TICK) if said and said.code in ANSWERED}
    return found


def judge(asked: Asked, standing: Standing, around: Circumstances) -> list[Answer]:
    """The model's answers, one for each call."""
    count = len(around.instant.calls)
    if not asked.present:
        status, reason = absent(standing, around)
        return [Answer(status, around.now - around.instant.began, reason=reason)] * count
    tick, answers, own = asked.tick, [], 0.0
    after = f"tick: {told(tick)}" if tick and tick.code != "SUCCESS" else ""
    own += took(tick)
    for place in range(count):
        said = asked.said[place] if place < len(asked.said) else None
        own += took(said)
        status, reason = verdict(asked, place, around)
        ended = said.ended if said and said.ended is not None else around.now
        elapsed = ended - around.instant.began
        spent = queued = None
        if said and said.code in ANSWERED:
            spent, queued = took(said) * 1000, max(0.0, (elapsed - own) * 1000)
        value = said.value if said else None
        answers.append(Answer(status, elapsed, value, spent, queued, "; ".join(filter(None, [reason, after])) or None))
    return answers


def verdict(asked: Asked, place: int, around: Circumstances) -> Verdict:
    """Status and reason of one call at a model that was there; a call whose turn did not come goes by the last."""
    begun = [one for one in (asked.tick, *asked.said) if one]
    last = min(place - TICK, len(begun) - 1)
    blamed = begun[last] if begun else Said("UNANSWERED")
    if last < place - TICK and blamed.code in ANSWERED:
        blamed = Said("UNANSWERED")
    code = blamed.code
    if code == "SUCCESS":
        return "SUCCESS", ""
    if code in ANSWERED:
        return "FAILED", told(blamed)
    if code in NO_ANSWER:
        return too_late(asked, blamed, around)
    if code == "SKIPPED":
        return "TIMEOUT", f"not asked, as it did not answer before: {blamed.message}"
    if code == "RESOURCE_EXHAUSTED":
        return busy(blamed, around)
    if code == "UNAVAILABLE":
        return gone(f"its node died or cannot be reached: {blamed.message}", around)
    if code == "CUT":
        return "ABSENT", "its node was stopped or replaced while it was asked, and no other was ready in time"
    ours = code == "CLIENT" or last + TICK not in around.understood
    return "PLATFORM_FAULT" if ours else "FAILED", told(blamed)


def told(said: Said) -> str:
    """The node's words; where it has none, its code."""
    plain = said.code in ("MODEL_FAILED", "TOO_LONG", "UNREADABLE") and said.message
    return said.message if plain else f"{said.code}: {said.message}".removesuffix(": ")


def too_late(asked: Asked, said: Said, around: Circumstances) -> Verdict:
    """No answer: the node is gone, we took too much of its time, or it is slow."""
    if not said.reachable:
        return gone("its node cannot be reached any more", around)
    deadline, timeout = around.instant.deadline, around.instant.timeout
    theirs = sum(took(one, deadline) for one in (asked.tick, *asked.said))
    ours = timeout - asked.waited - theirs
    if ours > OURS * timeout:
        return "PLATFORM_FAULT", f"of the {timeout:g} s that it had, our own queueing took {ours:.3f} s"
    return "TIMEOUT", f"no answer within {timeout:g} s"


def busy(said: Said, around: Circumstances) -> Verdict:
    """The node is at work on something else."""
    if around.first:  # the run before ours was ended while it asked
        return "PLATFORM_FAULT", f"busy, perhaps with a call that another run made: {said.message}"
    return "TIMEOUT", f"still busy with a call that it did not answer in time: {said.message}"


def gone(reason: str, around: Circumstances) -> Verdict:
    """A node that was there and is not. Whoever knows what became of it is the orchestrator."""
    return ("PLATFORM_FAULT", f"{reason}; {around.lost}") if around.lost else ("FAILED", reason)


def absent(standing: Standing, around: Circumstances) -> Verdict:
    """A model without a node."""
    if around.lost:
        return "PLATFORM_FAULT", around.lost
    last = f", last asked at {standing.seen:%Y-%m-%d %H:%M:%S} UTC" if standing.seen else ""
    if standing.trouble:
        code, words = standing.trouble
        told = f"{code}: {words}".removesuffix(": ")
        if code == "CONNECTION_FAILED":
            return "ABSENT", f"its node could not be reached{last}: {told}"
        ours = code == "USAGE" and SETUP not in around.understood
        return "PLATFORM_FAULT" if ours else "FAILED", f"not taken part since: {told}{last}"
    if standing.state == "RUNNING" and around.connecting:
        return "PLATFORM_FAULT", "our connection to the orchestrator is new, and its node is not connected yet"
    since = f" since {standing.since:%Y-%m-%d %H:%M:%S} UTC" if standing.since else ""
    state = {"RUNNING": "being connected", "GONE": "not listed by the orchestrator", "": "not announced so far"}
    return "ABSENT", f"{state.get(standing.state, standing.state)}{since}{last}"


def took(said: Said | None, until: float | None = None) -> float:
    """Seconds from sending to the answer (or `until`): the model's time, the node's and the wire's."""
    if said is None or said.sent is None:
        return 0.0
    ended = said.ended if said.ended is not None else until
    return 0.0 if ended is None else ended - said.sent
