"""How many examples the property tests try. LEAK_EXAMPLES sets it, and has failing ones shrunk, which takes minutes."""

import os

from hypothesis import HealthCheck, Phase, settings

CHOSEN = os.environ.get("LEAK_EXAMPLES")
COMPETITIONS = int(CHOSEN or 15)
PHASES = [one for one in Phase if CHOSEN or one not in (Phase.shrink, Phase.explain)]


def examples(share: float) -> settings:
    """Settings for that many examples, as a share of the competitions that a main test makes up."""
    return settings(
        max_examples=max(4, round(COMPETITIONS * share)),
        phases=PHASES,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
