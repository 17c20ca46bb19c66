"""What is due when, against a brute-force count over every second."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from coordinator_dagster.orders import Order, Orders
from coordinator_dagster.packs import PredictionConfig
from coordinator_dagster.schedule import Schedule, Term
from coordinator_dagster.windows import Window
from slots.tape import EPOCH

START = datetime(2026, 1, 5, tzinfo=UTC)
MINUTES = st.integers(0, 360)


def at(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


def order(number: int, kind: str, minute: int, until: int | None = None, **of: str) -> Order:
    last = at(until) if until is not None else None
    return Order(number, kind, at(minute), last, of.get("model"), of.get("config"), f"r{number}", "me", START, {})


@st.composite
def terms(draw: st.DrawFn) -> list[Term]:
    found = []
    for number in range(draw(st.integers(1, 3))):
        schedule = {"every_seconds": draw(st.sampled_from([60, 300, 420, 3600]))}
        horizon = {"horizon_seconds": draw(st.sampled_from([60, 90, 600, 7200]))}
        config = PredictionConfig.model_validate(
            {"id": f"c{number}", "scope_key": "s", "scope_template": horizon, "schedule": schedule, "order": -number}
        )
        first, length = draw(MINUTES), draw(st.one_of(st.none(), MINUTES))
        found.append(Term(config, at(first), None if length is None else at(first + length)))
    return found


@given(terms(), st.integers(0, 7))
def test_due_and_resolvable_equal_a_count_over_every_minute(given_terms: list[Term], hour: int) -> None:
    schedule, window = Schedule(given_terms, Orders()), Window(at(60 * hour), at(60 * hour + 60))
    cycles = [
        (t, term.config)
        for t in (at(minute) for minute in range(16 * 60))
        for term in given_terms
        if (t - EPOCH) % term.config.every == timedelta(0) and term.start <= t and (term.end is None or t < term.end)
    ]
    due = [(t, config) for t, config in cycles if window.start <= t < window.end]
    assert schedule.due(window) == sorted(due, key=lambda one: (one[0], one[1].order, one[1].id))
    assert schedule.resolvable(window) == sum(window.start < t + config.horizon <= window.end for t, config in cycles)


@given(st.lists(st.tuples(st.sampled_from(["pause", "resume"]), MINUTES), max_size=6), MINUTES)
def test_an_instant_is_paused_when_the_last_order_before_it_was_a_pause(given_orders: list, minute: int) -> None:
    every = sorted(
        (order(number, kind, when) for number, (kind, when) in enumerate(given_orders)),
        key=lambda one: (one.effective_at, one.id),
    )
    before = [one for one in every if one.effective_at <= at(minute)]
    paused = Orders(every).pause(at(minute))
    assert (paused is not None) == bool(before and before[-1].kind == "pause")


@given(terms(), st.lists(st.tuples(st.sampled_from(["pause", "resume"]), MINUTES), max_size=6), MINUTES)
def test_models_are_asked_next_at_the_first_instant_that_is_due_and_in_no_pause(
    given_terms: list[Term], given_orders: list, after: int
) -> None:
    numbered = (order(number, kind, when) for number, (kind, when) in enumerate(given_orders))
    schedule = Schedule(given_terms, Orders(sorted(numbered, key=lambda one: (one.effective_at, one.id))))
    every = (at(minute) for minute in range(after + 1, 900))
    asked = (t for t in every if schedule.due_at(t) and not schedule.orders.pause(t))
    assert schedule.next_asked(at(after)) == next(asked, None)


def test_the_newest_order_about_a_cycle_counts_and_only_inside_its_range() -> None:
    orders = Orders(
        [
            order(1, "void", 10, until=20),
            order(2, "revise", 15, config="a"),
            order(3, "void", 30, config="b"),
        ]
    )
    found = {
        (config, minute): (one.id if (one := orders.truth_order(config, at(minute))) else None)
        for config in "ab"
        for minute in (9, 10, 15, 20, 21, 30)
    }
    assert found == {
        ("a", 9): None, ("a", 10): 1, ("a", 15): 2, ("a", 20): 1, ("a", 21): None, ("a", 30): None,
        ("b", 9): None, ("b", 10): 1, ("b", 15): 1, ("b", 20): 1, ("b", 21): None, ("b", 30): 3,
    }  # fmt: skip


def test_a_model_is_out_from_its_order_until_it_is_reinstated() -> None:
    orders = Orders(
        [order(1, "disqualify", 10, model="m"), order(2, "leave", 15, model="n"), order(3, "reinstate", 20, model="m")]
    )
    assert [orders.out("m", at(minute)) for minute in (9, 10, 19, 20)] == [
        None,
        "disqualified: r1",
        "disqualified: r1",
        None,
    ]
    assert orders.out("n", at(500)) == "LEFT: r2"
