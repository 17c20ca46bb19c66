"""The canonical tables of one competition, opened."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from sqlalchemy import Connection, text

from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError, UserErrors
from coordinator_dagster.schedule import Schedule
from coordinator_dagster.store.archive import ArchiveTable
from coordinator_dagster.store.boards import BoardTables
from coordinator_dagster.store.checkpoints import CheckpointTables
from coordinator_dagster.store.configs import ConfigTable
from coordinator_dagster.store.cycles import CycleTables
from coordinator_dagster.store.database import Database
from coordinator_dagster.store.embedded import start_embedded
from coordinator_dagster.store.expiry import ExpiryTable
from coordinator_dagster.store.fates import FateTable
from coordinator_dagster.store.gaps import GapTable
from coordinator_dagster.store.inputs import InputTable
from coordinator_dagster.store.keys import KeyTable
from coordinator_dagster.store.leases import LeaseTable
from coordinator_dagster.store.migrating import migrate, newest_revision, of_another_version, revisions
from coordinator_dagster.store.orders import OrderTable
from coordinator_dagster.store.report.own_forecasts import OwnForecasts
from coordinator_dagster.store.report.roster import RosterTable
from coordinator_dagster.store.scores import ScoreTables
from coordinator_dagster.store.settling import SettlingTable
from coordinator_dagster.store.tape import TapeTable
from coordinator_dagster.store.tape_status import TapeStatus
from coordinator_dagster.store.truths import TruthTable


def database_url(competition: Competition) -> str:
    """DATABASE_URL, or the embedded server's, which this starts."""
    url = competition.settings.database_url
    return url.get_secret_value() if url else start_embedded(competition.home)


class Store:
    """Every SQL statement is behind one of its parts."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.tape = TapeTable(database)
        self.gaps = GapTable(database)
        self.fates = FateTable(database)
        self.tape_status = TapeStatus(database)
        self.inputs = InputTable(database)
        self.cycles = CycleTables(database)
        self.truths = TruthTable(database)
        self.scores = ScoreTables(database)
        self.boards = BoardTables(database)
        self.configs = ConfigTable(database)
        self.orders = OrderTable(database)
        self.leases = LeaseTable(database)
        self.checkpoints = CheckpointTables(database)
        self.settled = SettlingTable(database)
        self.archive = ArchiveTable(database)
        self.expiry = ExpiryTable(database)
        self.keys = KeyTable(database)
        self.roster = RosterTable(database)
        self.own_forecasts = OwnForecasts(database)

    def schedule(self, competition: Competition) -> Schedule:
        """What is due when, as things stand."""
        return self.configs.schedule(competition, self.orders.read())

    @contextmanager
    def settling(self) -> Iterator[None]:
        """One settler at a time: what it read holds until it has written. An order waits for it, or is seen."""
        with self.database.transaction() as connection:
            self.settle_after(connection)
            yield

    def settle_after(self, connection: Connection) -> None:
        """No other transaction of this schema settles until this one is over."""
        self.database.lock(connection, "settle")

    def close(self) -> None:
        self.database.close()


def open_store(competition: Competition) -> Store:
    """The competition's store, its schema made and up to date; UserErrors when the pack's configs have changed."""
    store = open_as_it_stands(competition)
    try:
        store.configs.sync(competition.pack)
    except UserErrors:
        store.close()
        raise
    return store


def refusals(competition: Competition) -> list[str]:
    """Why `open_store` would refuse what is stored; nothing is made, migrated or changed."""
    try:
        with closing(Database(database_url(competition), competition.schema)) as database:
            database.server_version()
            revision = database.revision()
            if revision is None:
                return []
            if revision not in revisions():
                return [of_another_version(database.schema, revision)]
            fixed = _fixed_otherwise(competition, database)
            # Of tables that are still to be migrated it is not known which configs stand.
            return fixed + (ConfigTable(database).refusals(competition.pack) if revision == newest_revision() else [])
    except UserError as error:  # no server, or an old one
        return [str(error)]


def open_as_it_stands(competition: Competition) -> Store:
    """The same, whatever the pack's configs are: for the order that makes the changed ones stand."""
    database = Database(database_url(competition), competition.schema)
    migrate(database)
    _keep_what_is_fixed(competition, database)
    return Store(database)


def _keep_what_is_fixed(competition: Competition, database: Database) -> None:
    """Mode, start and window never change in a schema: note them, UserErrors when they are not the same."""
    settings = competition.settings
    if settings.competition_start is None:
        return
    now = {"mode": settings.mode, "start": settings.competition_start, "window": settings.window}
    with database.transaction() as connection:
        connection.execute(
            text(
                'insert into competition (mode, start, "window") values (:mode, :start, :window) on conflict do nothing'
            ),
            now,
        )
    if faults := _fixed_otherwise(competition, database):
        database.close()
        raise UserErrors(faults)


def _fixed_otherwise(competition: Competition, database: Database) -> list[str]:
    settings = competition.settings
    here = {"MODE": settings.mode, "COMPETITION_START": settings.competition_start, "WINDOW": settings.window}
    return [
        f"{name}={here[name]}: the schema {competition.schema} was begun with {value}, which cannot change; set it "
        "back, or choose another COMPETITION"
        for row in database.read('select mode, start, "window" from competition')
        for name, value in zip(here, row, strict=True)
        if here[name] != value
    ]
