"""From a plan that breaks a promise to one with as few events as still break the same one: parts of it are left out, ever smaller ones."""

from __future__ import annotations

from history_plan import Event, Plan
from simulation import run_plan


def shrunk(plan: Plan) -> Plan:
    """A plan from which no single event can be left out. Takes a run for each that is tried."""
    rules = _broken(plan)
    events = list(plan.events)
    size = len(events) // 2
    while size:
        at = 0
        while at < len(events):
            left = _without(events, at, at + size)
            if rules & _broken(plan._replace(events=tuple(left))):
                events = left
            else:
                at += size
        size //= 2
    return plan._replace(events=tuple(events))


def _broken(plan: Plan) -> set[str]:
    return {violation.rule for violation in run_plan(plan).violations}


def _without(events: list[Event], start: int, end: int) -> list[Event]:
    """What comes after is to come at the same time as before."""
    gap_s = sum(event.after_s for event in events[start:end])
    rest = events[end:]
    if rest:
        rest[0] = rest[0]._replace(after_s=rest[0].after_s + gap_s)
    return events[:start] + rest
