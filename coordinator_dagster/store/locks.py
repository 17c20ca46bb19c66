"""Locks that a statement waits for."""

LOCKED = ("55P03", "40P01")  # PostgreSQL's codes: a lock was not to be had in time; a deadlock


def locked(error: BaseException) -> bool:
    """Whether others held what a statement needed, so that it may be tried again."""
    return getattr(getattr(error, "orig", error), "pgcode", None) in LOCKED
