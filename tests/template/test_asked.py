"""A person at a terminal is asked, and told at once what is wrong with an answer."""

import os
import pty
import select
import sys
import time
from pathlib import Path

SECONDS = 60.0
CLEAR = b"\x15"  # Ctrl-U
WHERE, TOP = b"\x1b[6n", b"\x1b[1;1R"  # the program asks the terminal where its cursor is


class Terminal:
    """A program in a terminal of its own: what it shows is read, what is typed is written."""

    def __init__(self, *command: str) -> None:
        self.shown = b""
        self._pid, self._fd = pty.fork()
        if not self._pid:
            os.environ["TERM"], os.environ["COLUMNS"] = "xterm", "200"
            os.execv(command[0], command)

    def read_until(self, text: bytes) -> None:
        seen, end = len(self.shown), time.monotonic() + SECONDS
        while text not in self.shown[seen:]:
            assert time.monotonic() < end, self.shown.decode(errors="replace")[-3000:]
            if select.select([self._fd], [], [], 0.2)[0]:
                data = os.read(self._fd, 65536)
                self.shown += data
                if WHERE in data:
                    os.write(self._fd, TOP)

    def type(self, text: bytes) -> None:
        os.write(self._fd, text)

    def ends(self) -> int:
        """Its exit code."""
        while True:
            try:
                if not os.read(self._fd, 65536):
                    break
            except OSError:
                break
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def test_a_bad_answer_is_told_at_once_and_the_rest_may_stay_as_offered(plain_template: Path, tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name("copier"))
    terminal = Terminal(program, "copy", str(plain_template), str(tmp_path / "new"))
    terminal.read_until(b"names the two folders")
    terminal.type(b"Bad Name\r")
    terminal.read_until(b"must be a slug")
    terminal.type(CLEAR + b"btc-x\r")
    for question in (b"Title", b"Pack", b"market data", b"Assets"):
        terminal.read_until(question)
        terminal.type(b"\r")
    terminal.read_until(b"First hour")
    terminal.type(CLEAR + b"2026-01-05T00:30Z\r")
    terminal.read_until(b"Validation error for question 'start'")
    terminal.type(CLEAR + b"2026-01-05T00:00Z\r")
    assert terminal.ends() == 0
    settings = (tmp_path / "new" / "crunch-node-btc-x" / ".local.env").read_text()
    assert "COMPETITION_START=2026-01-05T00:00Z" in settings and "FEED_PROVIDER=binance" in settings
