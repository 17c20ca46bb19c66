"""What a key of the report API looks like, and what is kept of it."""

import hashlib
import re
import secrets

SECRET_BYTES = 32
_SHAPE = re.compile(r"crunch_([1-9][0-9]{0,17})_([0-9a-f]{64})")


def new_secret() -> str:
    """The part of a new key that nobody can guess."""
    return secrets.token_hex(SECRET_BYTES)


def key_of(id_: int, secret: str) -> str:
    """The key as its holder sends it: the id finds its row, the secret proves that it is the holder's."""
    return f"crunch_{id_}_{secret}"


def parts_of(key: str) -> tuple[int, str] | None:
    """The id and the secret; None when no key looks like that."""
    found = _SHAPE.fullmatch(key)
    return (int(found[1]), found[2]) if found else None


def digest(secret: str) -> bytes:
    """What is kept of a secret: of 256 random bits nothing can be guessed, so no slow hash is needed."""
    return hashlib.sha256(secret.encode()).digest()
