"""What may be chosen of a venue, and the errors that name it."""

import difflib
from collections.abc import Collection, Sequence

from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds.base import Offer
from slots.market import Kind, Series

NAMED = 100  # assets in an error: a venue may have a thousand


def offers(feed: str, assets: Sequence[str], there: Collection[str], where: str) -> list[Offer]:
    """Minutes and ticks of each asset; UserError with what is `there`, nearest names first, when one is not.

    `where`: in words, such as "traded against USDT at https://…".
    """
    if unknown := [asset for asset in assets if asset not in there]:
        near = difflib.get_close_matches(unknown[0].upper(), there, n=3)
        allowed = sorted(there, key=lambda asset: (asset not in near, asset))
        more = f" and {len(allowed) - NAMED} more" if len(allowed) > NAMED else ""
        raise UserError(
            f"FEED_ASSETS: {', '.join(unknown)} not {where}; allowed, nearest names first: "
            f"{', '.join(allowed[:NAMED]) or 'none'}{more}"
        )
    return [Offer(Series(feed, asset, *kind)) for asset in assets for kind in (("candle", "1m"), ("tick", "1s"))]


def choose_series(feed: str, assets: Sequence[str], bars: Collection[str], wanted: tuple[str, Kind, str]) -> Series:
    """The series of `(asset, kind, granularity)`; UserError with what the feed has. Ticks are always `1s`."""
    asset, kind, granularity = wanted
    if asset not in assets:
        raise UserError(f"FEED_ASSETS has no {asset}; it has {', '.join(assets)}")
    allowed = bars if kind == "candle" else ("1s",)
    if granularity not in allowed:
        raise UserError(f"{feed} has no {kind} of {granularity}; it has {', '.join(allowed)}")
    return Series(feed, asset, kind, granularity)
