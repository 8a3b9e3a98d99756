"""The target of a plan, opened as the plan wants it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from ..targets.base import Target
from ..targets.opening import open_target
from .plan import Plan


def opened(plan: Plan) -> AbstractAsyncContextManager[Target]:
    """As `open_target`."""
    wanted = plan.destination
    return open_target(
        wanted.target, group=wanted.group, route=wanted.route, timeout_s=wanted.timeout_s, callers=plan.connections
    )
