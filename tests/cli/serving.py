"""Looking at commands that serve: their processes, and whether the UI answers."""

import json
import socket
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil

# The webserver keeps what it has loaded; loading it again asks the code server.
LOADED = "{workspaceOrError {... on Workspace {locationEntries {locationOrLoadError {__typename}}}}}"
LOAD = """mutation {reloadRepositoryLocation(repositoryLocationName: "coordinator") {
    ... on WorkspaceLocationEntry {locationOrLoadError {__typename}}
}}"""


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def of_home(home: Path) -> list[psutil.Process]:
    """The live processes that were started for this home, but its database, which stays."""
    found = []
    for one in psutil.process_iter():
        try:
            ours = one.environ().get("COORDINATOR_HOME") == str(home)
            if ours and one.name() not in ("postgres", "sh") and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
        except psutil.Error:
            continue
    return found


def answers(port: str, question: str = LOADED) -> bool:
    """Whether the UI has the definitions, or can LOAD them."""
    body, kind = json.dumps({"query": question}).encode(), {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/graphql", body, kind)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return '"RepositoryLocation"' in response.read().decode()
    except OSError:
        return False


def until(done: Callable[[], object], seconds: float) -> float:
    """Wait for it; the seconds it took."""
    begun = time.monotonic()
    while not done():
        assert time.monotonic() < begun + seconds, f"still waiting after {seconds} s"
        time.sleep(0.2)
    return time.monotonic() - begun
