"""`coordinator packs`"""

from coordinator_dagster.cli.console import print_rows
from coordinator_dagster.packs import available_packs, read_pack


def packs() -> None:
    """List the packs that come along; `PACK=<id>` chooses one."""
    rows = []
    for name in available_packs():
        pack = read_pack(name)
        for place, config in enumerate(pack.configs):
            every, horizon = config.schedule.every_seconds, config.horizon.total_seconds()
            series = ", ".join(f"{one.asset} {one.kind} {one.granularity}" for one in pack.series_of(config))
            rows.append(
                [
                    "" if place else name,
                    config.id,
                    f"{every} s",
                    f"{horizon:g} s",
                    series,
                    "" if place else pack.description,
                ]
            )
    print_rows(["pack", "config", "every", "horizon", "series", "description"], rows)
