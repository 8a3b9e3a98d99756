"""What was run, and whether it counts, in words. Pages and comparisons say the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .numbers import told, whole
from .page import Notice
from .results import Loop, Result

TIERS: Final[Mapping[str, str]] = {
    "hot": "hit: hot copy",
    "owner": "hit: owner's store",
    "found": "hit",  # of a target that has no tiers
    "load": "miss: loaded",
    "absent": "miss: no such key",
}


def loop_in_words(loop: Loop) -> str:
    """Closed or open, and how much of it."""
    if loop.kind == "closed":
        return f"closed loop, {whole(loop.callers)} {'caller' if loop.callers == 1 else 'callers'}"
    if loop.rate is None:
        return "open loop, at the recorded pace"
    return f"open loop, {loop.rate:,.10g} requests/s, {loop.arrivals} arrivals"


def parameters_in_words(parameters: Mapping[str, Any]) -> str:
    """The kind, and every other parameter that is not empty."""
    words = [str(parameters.get("kind", "of no kind"))]
    for name, value in parameters.items():
        if name != "kind" and value not in ("", None, [], {}):
            words.append(f"{name.replace('_', ' ')} {_value(value)}")
    return ", ".join(words)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name} {each}" for name, each in value.items())
    if isinstance(value, list):
        return "-".join(map(str, dict.fromkeys(map(str, value))))
    return str(value)


def run_in_words(result: Result) -> str:
    """One sentence: what asked whom for what, and for how long."""
    workers = f" from {result.workers} processes" if result.workers > 1 else ""
    warmup = f", after {told(result.warmup_s, 's')} of warm-up" if result.warmup_s else ""
    text = (
        f"{loop_in_words(result.loop)}{workers}, on {parameters_in_words(result.target)}: {parameters_in_words(result.workload)}; "
        f"{whole(result.requests)} requests in {told(result.seconds, 's')}{warmup}."
    )
    return text[:1].upper() + text[1:]


def verdicts_on(result: Result) -> list[Notice]:
    """Whether the run counts: complete, the generator fast enough, the values right, what was expected seen."""
    notices: list[Notice] = []
    if result.partial:
        text = (
            f"The run ended before it was meant to: {result.partial}. The figures are of what was measured until then."
        )
        notices.append(Notice("warn", "Partial.", text))
    notices.append(_validity(result))
    if result.skipped:
        limit = whole(result.loop.max_in_flight)
        text = f"{whole(result.skipped)} arrivals were not sent, because {limit} requests were unanswered. No latency tells of them."
        notices.append(Notice("warn", "Skipped.", text))
    if result.errors.total:
        share = told(result.errors.total / result.requests if result.requests else None, "share")
        notices.append(Notice("bad", "Errors.", f"{whole(result.errors.total)} requests failed ({share})."))
    if result.verify is not None:
        notices.append(_verified(result))
    failed = [each.text for each in result.expectations if not each.holds]
    if failed:
        notices.append(Notice("bad", "Expectations not met:", ", ".join(failed)))
    elif result.expectations:
        notices.append(Notice("good", "All expectations met:", ", ".join(each.text for each in result.expectations)))
    return notices


def _validity(result: Result) -> Notice:
    if result.valid:
        share = told(result.generator.cpu_share, "share")
        text = f"The generator was not seen to be the bottleneck: it was computing {share} of the time."
        return Notice("good", "Valid.", text)
    reasons = "; ".join(result.bottlenecks) or "it did not say why"
    text = f"The generator was the bottleneck, so these figures are its own and not the target's: {reasons}."
    return Notice("bad", "Not valid.", text)


def _verified(result: Result) -> Notice:
    assert result.verify is not None
    found = result.verify
    bad = [
        f"{whole(count)} {name}"
        for name, count in (("wrong", found.wrong), ("stale", found.stale), ("torn", found.torn))
        if count
    ]
    rest = f" {whole(found.unverified)} could not be checked." if found.unverified else ""
    if not bad:
        return Notice("good", "Verified.", f"{whole(found.checked)} values were checked, each was the right one.{rest}")
    first = f" The first: {'; '.join(found.first)}." if found.first else ""
    return Notice(
        "bad", "Bad values.", f"Of {whole(found.checked)} values that were checked: {', '.join(bad)}.{rest}{first}"
    )
