"""`coordinator live`"""

import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

from dotenv import dotenv_values
from rich.markup import escape

from coordinator_dagster.cli.console import console
from coordinator_dagster.cli.demo import HEADER, ask_binance
from coordinator_dagster.cli.dev import Host, Port
from coordinator_dagster.cli.doctor import configuration, database
from coordinator_dagster.clock import open_clock
from coordinator_dagster.competition import Competition, default_home, read_competition
from coordinator_dagster.errors import UserError, UserErrors
from coordinator_dagster.feeds.base import FeedError
from coordinator_dagster.file_lock import locked_file
from coordinator_dagster.launcher import CodeServer, service_commands, set_dagster_environment
from coordinator_dagster.local_env import remember
from coordinator_dagster.logs import log_to_stderr, say
from coordinator_dagster.ports import port_faults
from coordinator_dagster.runners.folders import discover
from coordinator_dagster.settings import Settings, read_settings
from coordinator_dagster.store.store import open_store
from coordinator_dagster.supervisor import EmbeddedPostgres, supervise
from coordinator_dagster.windows import LENGTHS
from slots.tape import boundary

BY = "coordinator live"
ACCEPT_SECONDS = 60  # meanwhile nothing that ends is started again
log = logging.getLogger("coordinator")
DEFAULTS = {"MODE": "live", "COMPETITION": "live", "FEED_PROVIDER": "binance"}
# What a demo chooses for itself; the rest of its file is the operator's.
OF_A_DEMO = {*DEFAULTS, "WINDOW", "COMPETITION_START", "COMPETITION_END", "FEED_TAPE_DIR"}


def live(host: Host = "127.0.0.1", port: Port = 3000) -> None:
    """Run a live competition on this machine until Ctrl-C: models, Dagster UI and daemon, and a database if needed.

    SIGUSR2 after an upgrade or a change of settings: it begins anew, and the live runs go on until they hand over.
    Where `coordinator validate` refuses what is here by then, nothing changes.
    """
    given = dict(os.environ)
    begin_anew = {signal.SIGUSR2}
    signal.pthread_sigmask(signal.SIG_BLOCK, begin_anew)  # it waits until the supervisor takes it
    if _supervised(host, port, given):
        signal.pthread_sigmask(signal.SIG_BLOCK, begin_anew)
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], given)  # noqa: S606


def _supervised(host: str, port: int, given: Mapping[str, str]) -> bool:
    """Until it is told to end; True: to begin anew. `given`: the environment that it would begin with."""
    os.environ.setdefault("PGCONNECT_TIMEOUT", "5")  # seconds; a server that is not there may say nothing
    home = default_home()
    with _the_only_one(home):
        begins = _choose_settings(home)
        competition = read_competition(home)
        log_to_stderr(competition)
        _check(competition, begins, host, port)
        _remember(competition)
        set_dagster_environment(competition)
        settings = competition.settings
        say(
            competition,
            f"{settings.competition}: live from {competition.start:%Y-%m-%d %H:%M} UTC, feed {settings.feed_provider}",
        )
        say(competition, f"Dagster UI: http://{host}:{port}  (Ctrl-C ends it)")
        with tempfile.TemporaryDirectory(prefix="coordinator-") as folder:  # a socket's path must be short
            socket = Path(folder) / "code"
            commands = service_commands(competition, CodeServer(socket=socket), host, port)
            postgres = None if settings.database_url else EmbeddedPostgres(home)
            again = supervise(home, commands, socket, postgres, partial(_accepted, given))
            if not again and not settings.database_url:
                say(competition, "the embedded PostgreSQL goes on; `coordinator postgres stop` stops it")
            return again


def _accepted(given: Mapping[str, str]) -> bool:
    """Whether code, settings and slots as they are now are fit to go on with; the log says why not."""
    validate = [sys.executable, "-c", "from coordinator_dagster.cli import main; main()", "validate"]
    try:
        done = subprocess.run(
            [*validate, "--offline", "--stored"], env=given, capture_output=True, text=True, timeout=ACCEPT_SECONDS
        )
        refused = (done.stderr.strip() or f"exit code {done.returncode}") if done.returncode else ""
    except subprocess.TimeoutExpired:
        refused = f"`coordinator validate` has not ended within {ACCEPT_SECONDS} s: a slot that hangs?"
    if refused:
        log.error("nothing has changed, for what is here now is refused; mend it, then once more:\n%s", refused)
    return not refused


@contextmanager
def _the_only_one(home: Path) -> Iterator[None]:
    """UserError when another runs in the folder."""
    folder = home / ".coordinator"
    folder.mkdir(parents=True, exist_ok=True)
    otherwise = f"`{BY}` runs in {home} already; end it, or give this one a folder of its own"
    with locked_file(folder / "live.lock", otherwise):
        yield


def _choose_settings(home: Path) -> bool:
    """Set in the environment what nothing names; True when the competition begins now. UserError for a replay's folder.

    `coordinator replay` names no MODE where it notes a start.
    """
    _put_demo_aside(home)
    file = {name.upper(): value for name, value in dotenv_values(home / ".local.env").items() if value}
    named = {*file, *(name.upper() for name, value in os.environ.items() if value)}
    of_a_replay = "COMPETITION_START" in file and "MODE" not in named
    os.environ |= {name: value for name, value in DEFAULTS.items() if name not in named and not of_a_replay}
    settings = read_settings(home)
    if settings.mode != "live":
        raise UserError(
            f"MODE=replay: {home} replays the competition {settings.competition}, by .local.env or environment; "
            "give the live one a folder of its own (COORDINATOR_HOME), or put .local.env aside"
        )
    begins = settings.competition_start is None
    if begins:
        os.environ["COMPETITION_START"] = _this_window(settings).isoformat()
    return begins


def _put_demo_aside(home: Path) -> None:
    """What a demo wrote into `.local.env` goes to `.local.env.demo`: its end must not become the live one's."""
    file, aside = home / ".local.env", home / ".local.env.demo"
    known = dotenv_values(file)
    if known.get("MODE") == "replay" and file.read_text().startswith(HEADER):
        file.rename(aside)
        remember(home, {name: value or "" for name, value in known.items() if name not in OF_A_DEMO}, BY)
        console.print(f"{file} was the demo's: it is {aside.name} now")


def _this_window(settings: Settings) -> datetime:
    """The start of the present hour or day, by the competition's clock."""
    return boundary(open_clock(settings.clock_url).now(), LENGTHS[settings.window])


def _check(competition: Competition, begins: bool, host: str, port: int) -> None:
    """UserErrors with whatever would keep it from running, before anything is started.

    A venue that is away is a fault only where the competition begins: later a live run waits for it by itself. So is
    a bad folder beside good models: it does not keep those from being asked.
    """
    faults = port_faults(host, port)
    findings = [*configuration(competition), database(competition)]
    models, bad = discover(competition.home / competition.settings.models_dir)
    if models and not begins:
        for fault in bad:
            console.print(f"[yellow]warning:[/yellow] {escape(fault)}; going on with the others", soft_wrap=True)
        findings = [one for one in findings if one.what != "models"]
    faults += [f"{one.what}: {one.found}; {one.remedy}" for one in findings if one.remedy]
    if competition.settings.feed_provider == "binance" and competition.pack.series:
        try:
            ask_binance(competition.settings.feed_base_url)
        except FeedError as error:
            fault = (
                f"FEED_PROVIDER=binance: {error}; mend the network, or set FEED_BASE_URL, or FEED_PROVIDER=simulated"
            )
            if begins:
                faults.append(fault)
            else:
                console.print(f"[yellow]warning:[/yellow] {fault}; going on, for it may come back")
    if faults:
        raise UserErrors(faults)
    open_store(competition).close()


def _remember(competition: Competition) -> None:
    """Note what was chosen: the next start goes on with it, and the other commands are about the same competition."""
    settings = competition.settings
    values = {
        "COMPETITION": settings.competition,
        "MODE": settings.mode,
        "COMPETITION_START": competition.start.isoformat(),
        "PACK": settings.pack,
        "MODELS_DIR": str(settings.models_dir),
        "FEED_PROVIDER": settings.feed_provider,
    }
    if added := remember(competition.home, values, BY):
        console.print(f"{competition.home / '.local.env'}: added {', '.join(added)}")
