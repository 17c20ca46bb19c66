"""Runs of every kind: each hangs on nothing, or on one thing."""

import dagster as dg

HOURS = dg.HourlyPartitionsDefinition("2026-01-05-00:00", end_date="2026-01-05-12:00")
SCHEMA = "past"
FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH = (f"2026-01-05-{hour:02}:00" for hour in range(6))


def play(instance: dg.DagsterInstance) -> tuple[list[dg.AssetsDefinition], dict[str, str]]:
    """The assets, and the runs by what they are."""
    assets, runs = assets_of_it(), dict[str, str]()
    tape = assets[0]

    def materialize(name: str, hour: str | None, some: list[dg.AssetsDefinition], fails: bool = False) -> None:
        config = {"ops": {f"{SCHEMA}__tape": {"config": {"fails": fails}}}} if tape in some else None
        done = dg.materialize(some, instance=instance, partition_key=hour, run_config=config, raise_on_error=False)
        assert done.success is not fails
        runs[name] = done.run_id

    materialize("done again since", FIRST, assets[:2])
    materialize("last of its partition", FIRST, assets[:2])
    materialize("failed, and done again", SECOND, [tape], fails=True)
    materialize("last of the second", SECOND, assets[:2])
    materialize("one asset of the second again", SECOND, [assets[1]])
    materialize("done, and failed since", SECOND, [tape], fails=True)
    materialize("failed, and nothing since", THIRD, [tape], fails=True)
    materialize("unpartitioned, done again", None, [assets[2]])
    materialize("unpartitioned, the last", None, [assets[2]])
    runs["live, closed"] = live_run(instance, FOURTH, closes=True)
    runs["live, looked again"] = live_run(instance, FOURTH, closes=False)
    runs["live, before another"] = live_run(instance, FIFTH, closes=False)
    runs["live, died"] = live_run(instance, FIFTH, closes=False)
    materialize("young", SIXTH, assets[:2])
    return assets, runs


def assets_of_it() -> list[dg.AssetsDefinition]:
    """Two by the hour, of which one has a check, and one without partitions."""

    class Fails(dg.Config):
        fails: bool = False

    @dg.asset(key=[SCHEMA, "tape"], partitions_def=HOURS)
    def tape(context: dg.AssetExecutionContext, config: Fails) -> None:
        context.log.info("told")
        if config.fails:
            raise ValueError("as it was told to")

    check = dg.AssetCheckSpec("right", asset=[SCHEMA, "scores"])

    @dg.asset(key=[SCHEMA, "scores"], partitions_def=HOURS, deps=[tape], check_specs=[check])
    def scores() -> dg.MaterializeResult:  # type: ignore[type-arg]
        return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True, check_name="right")])

    @dg.asset(key=[SCHEMA, "schema"])
    def alone() -> None: ...

    return [tape, scores, alone]


def live_run(instance: dg.DagsterInstance, hour: str, closes: bool) -> str:
    """As the live job has it: it observes its window, and materializes it at the end."""

    @dg.op
    def work(context: dg.OpExecutionContext) -> None:
        for _ in range(3):
            context.log_event(dg.AssetObservation([SCHEMA, "tape"], partition=hour))
            context.log.info("at work")
        if closes:
            context.log_event(dg.AssetMaterialization([SCHEMA, "tape"], partition=hour))

    @dg.job(name=f"{SCHEMA}_live", partitions_def=HOURS)
    def live() -> None:
        work()

    return live.execute_in_process(instance=instance, partition_key=hour).run_id
