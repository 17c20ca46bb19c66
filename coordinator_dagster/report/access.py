"""Who asks: nobody in particular, or whoever holds a key. It comes in a header, never in an address or a cookie."""

import hmac
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from coordinator_dagster.keys import digest, parts_of
from coordinator_dagster.report.opened import Here, Opened
from coordinator_dagster.report.problems import Refused
from coordinator_dagster.store.keys import StoredKey

log = logging.getLogger(__name__)

WRONG_KEYS = parse("20/minute")  # from one address: enough to mistype, too few to fill the log
REQUESTS = parse("600/minute")  # with one key: ten a second, more than a person's page or a script that looks needs
NO_SUCH_KEY = bytes(32)  # compared with where there is no such key, so that it takes as long
KEY_HEADERS = ("Authorization", "X-API-Key")
# For a route that tells more to who has a key: FastAPI adds this to the two schemes, so that none is one more choice.
KEY_IS_OPTIONAL: dict[str, Any] = {"security": [{}]}

_bearer = HTTPBearer(auto_error=False, description="a key made by `coordinator keys create`")
_header = APIKeyHeader(name=KEY_HEADERS[1], auto_error=False, description="the same, where a proxy needs Authorization")


@dataclass(frozen=True)
class Caller:
    """The holder of a key: the operator, or a participant of one player."""

    key: str
    role: str
    player_id: str | None

    def may_read_of(self, player_id: str) -> bool:
        """Whether what is that player's is shown to this one."""
        return self.role == "operator" or self.player_id == player_id


class Gate:
    """Counts who asks, in this process, and refuses who asks too often."""

    def __init__(self) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def admit(self, here: Opened, address: str, key: str) -> Caller:
        """Whose key that is. Refused when it is nobody's, or when there were too many questions."""
        stored = _holder(here, key)
        if stored is None:
            # Of 256 random bits nothing is guessed: who shares an address with somebody who tries is not locked out.
            if not self._limiter.hit(WRONG_KEYS, "wrong keys", address):
                raise self._too_many(WRONG_KEYS, "too many wrong keys came from your address", "wrong keys", address)
            log.warning("a key that is wrong or revoked came from %s", address)
            raise _unauthorized("this key is wrong or was revoked; ask the operator for another")
        if not self._limiter.hit(REQUESTS, "requests", str(stored.id)):
            raise self._too_many(REQUESTS, "too many requests with this key", "requests", str(stored.id))
        return Caller(stored.name, stored.role, stored.player_id)

    def _too_many(self, limit: RateLimitItem, what: str, *of: str) -> Refused:
        seconds = max(1, math.ceil(self._limiter.get_window_stats(limit, *of).reset_time - time.time()))
        return Refused(429, f"{what}; wait {seconds} s", {"Retry-After": str(seconds)})


def allow_origins(app: FastAPI, origins: Sequence[str]) -> None:
    """Let pages of these origins read, with a key where they have one; without any, nothing is allowed."""
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET"],
            allow_headers=KEY_HEADERS,
            expose_headers=["ETag", "Link", "Retry-After"],
        )


def _caller_or_nobody(
    request: Request,
    response: Response,
    here: Here,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    header: Annotated[str | None, Depends(_header)],
) -> Caller | None:
    """Who asks, None without a key. One that is sent has to be right everywhere."""
    response.headers["Vary"] = ", ".join(KEY_HEADERS)
    key = bearer.credentials if bearer else header
    if not key:
        return None
    response.headers["Cache-Control"] = "no-store"
    gate: Gate = request.app.state.gate
    return gate.admit(here, _address(request), key)


def _caller(found: "CallerOrNobody") -> Caller:
    if found is None:
        raise _unauthorized("this needs a key, as `Authorization: Bearer KEY` or `X-API-Key: KEY`; the operator has it")
    return found


CallerOrNobody = Annotated[Caller | None, Depends(_caller_or_nobody)]
KeyHolder = Annotated[Caller, Depends(_caller)]


def _holder(here: Opened, key: str) -> StoredKey | None:
    """The row of a key that is right. How long that takes tells only whether the key looks like one."""
    parts = parts_of(key)
    if parts is None:
        return None
    id_, secret = parts
    stored = here.store.keys.standing(id_) if here.begun else None
    right = hmac.compare_digest(digest(secret), bytes(stored.key_hash) if stored else NO_SUCH_KEY)
    return stored if right else None


def _unauthorized(message: str) -> Refused:
    return Refused(401, message, {"WWW-Authenticate": "Bearer"})


def _address(request: Request) -> str:
    """Where a request comes from. An IPv6 customer has a whole /64 of addresses: they count as one."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:  # a socket file, or a name
        return host
    return f"{int(address) >> 64:x}::/64" if isinstance(address, IPv6Address) else host
