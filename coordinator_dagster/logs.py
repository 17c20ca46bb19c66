"""LOG_FORMAT=json: each line that a process of ours writes is one JSON object.

The names are those of Dagster's own `--log-format json`: `timestamp` (UTC), `level`, `logger`, `event` (the words),
`exception`; beside them what is known of where it was.
"""

import json
import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog
from pydantic import SecretStr
from sqlalchemy import make_url

from coordinator_dagster.cli.console import console
from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import first_line
from coordinator_dagster.run_tags import partitions_of
from coordinator_dagster.settings import Settings
from coordinator_dagster.store.database import with_driver

TEXT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"
OURS = ("coordinator", "coordinator_dagster")
WHERE = {"competition", "run", "window", "model"}  # as in logging's `extra`
OF_RUN = {"run": "run_id", "job": "job_name", "step": "step_key"}  # as Dagster notes it
HIDDEN = "(hidden)"
INTERRUPTED = "DagsterExecutionInterruptedError"
Fields = MutableMapping[str, Any]


def log_format_option(settings: Settings) -> list[str]:
    """For the command lines of Dagster's services."""
    return ["--log-format", "json"] if settings.log_format == "json" else []


def log_to_stderr(competition: Competition) -> None:
    """For a process that is ours from its beginning. Errors made for people stay text."""
    if competition.settings.log_format == "text":
        logging.basicConfig(format=TEXT)
        return
    handler = logging.StreamHandler()
    handler.setFormatter(json_formatter(competition))
    logging.basicConfig(handlers=[handler], force=True)
    for name in OURS:
        logging.getLogger(name).setLevel(logging.INFO)
    sys.excepthook = lambda *error: logging.getLogger("coordinator").critical("it ends by an error", exc_info=error)


def log_within_dagster(competition: Competition) -> None:
    """For a process of Dagster's that loads the code location: its runs' and sensors' lines become JSON, too; or brief.

    It gives each logger that it makes a handler of its own, colored, and takes no other for what is launched without
    configuration. So the handlers get their form as they are added, by logging's own hook for that.
    """
    json_lines = json_formatter(competition) if competition.settings.log_format == "json" else None

    class OurLogger(logging.Logger):
        def addHandler(self, handler: logging.Handler) -> None:
            usual = handler.formatter  # handlers are shared, and added again and again
            handler.setFormatter(json_lines or (usual if isinstance(usual, _Brief) else _Brief(usual)))
            super().addHandler(handler)

    logging.setLoggerClass(OurLogger)
    if json_lines and logging.lastResort:  # what nobody has a handler for, from WARNING on
        logging.lastResort.setFormatter(json_lines)


class _Brief(logging.Formatter):
    """As the handler had it, but a run that was asked to end has no traceback to show."""

    def __init__(self, usual: logging.Formatter | None) -> None:
        super().__init__()
        self._usual = usual or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        text = self._usual.format(record)
        return first_line(text) if _was_interrupted(_error(record)) else text


def _error(record: logging.LogRecord) -> Any:
    """What ended a step or a run, as Dagster notes it; None in all other records."""
    event = (vars(record).get("dagster_meta") or {}).get("dagster_event")
    return getattr(getattr(event, "event_specific_data", None), "error", None)


def _was_interrupted(error: Any) -> bool:
    return error is not None and error.cls_name == INTERRUPTED


def say(competition: Competition, text: str) -> None:
    """Something that whoever starts a service should know: text on stdout, or a line of its log."""
    if competition.settings.log_format == "json":
        logging.getLogger("coordinator").info(text)
    else:
        console.print(text, soft_wrap=True)


def json_formatter(competition: Competition) -> logging.Formatter:
    """One JSON object a record; what is secret in the settings is hidden wherever it comes from."""
    before: list[structlog.typing.Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _where(competition),
        structlog.processors.format_exc_info,
    ]
    render = structlog.processors.JSONRenderer(ensure_ascii=False)
    hide = _hide(secrets_of(competition.settings))
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=before,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            lambda logger, name, fields: hide(str(render(logger, name, fields))),
        ],
    )


def _where(competition: Competition) -> Callable[[Any, str, Fields], Fields]:
    """The competition; the run and its window, where Dagster says so; what was given as `extra`."""
    name = competition.settings.competition

    def add(_logger: Any, _method: str, fields: Fields) -> Fields:
        record = vars(fields["_record"])
        of_run = record.get("dagster_meta") or {}
        window = partitions_of(of_run.get("job_tags") or {})
        known = {"competition": name, "window": window}
        known |= {field: of_run.get(own) for field, own in OF_RUN.items()}
        known |= {one: record[one] for one in WHERE if one in record}
        fields["event"] = of_run.get("orig_message") or fields["event"]  # the other has run and job in it once more
        fields.update({one: value for one, value in known.items() if value is not None})
        if (error := _error(fields["_record"])) and not _was_interrupted(error):
            fields["exception"] = error.to_string()
        return fields

    return add


def secrets_of(settings: Settings) -> list[str]:
    """Each secret setting, and the password of the database as it is in its URL and by itself; longest first."""
    found = []
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            found.append(value.get_secret_value())
    if settings.database_url:
        password = make_url(with_driver(settings.database_url.get_secret_value())).password
        if password:
            found += [f":{password}@", *([str(password)] if len(str(password)) >= 6 else [])]
    return sorted(found, key=len, reverse=True)


def _hide(secrets: list[str]) -> Callable[[str], str]:
    written = [json.dumps(one, ensure_ascii=False)[1:-1] for one in secrets if one]

    def hide(line: str) -> str:
        for one in written:
            line = line.replace(one, HIDDEN)
        return line

    return hide
