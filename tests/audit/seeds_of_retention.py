"""Broken rules about what has left the tape by age."""

from tests.audit.seeds import CYCLE, Seed

GONE = """insert into tape_expiry (month_start, month_end, row_count, cycles_from)
    select date_trunc('month', start) - interval '1 month', {end}, {rows}, {cycles_from} from competition;"""
NOTHING = {"end": "date_trunc('month', start)", "rows": 0, "cycles_from": "start"}

RETENTION = [
    Seed("05_left_the_tape", "a month was dropped without its archive", GONE.format(**NOTHING | {"rows": 7})),
    Seed(
        "05_left_the_tape",
        "records of a month that has left came back",
        GONE.format(**NOTHING | {"end": "start"}),
    ),
    Seed(
        "05_needed_and_gone",
        "the records of a cycle without a truth have left",
        GONE.format(**NOTHING | {"cycles_from": "start + interval '6 minutes'"})
        + f"delete from ground_truths where {CYCLE}",
    ),
]
