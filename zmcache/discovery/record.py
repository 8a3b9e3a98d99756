"""How a member is written down: one flat JSON object that a person can read and edit.

The same object stands in etcd (the node id is in the key there) and in the file of members last seen (the node id is a
field there). Reading is strict in types and lenient in extent: a field that this version does not know is ignored, so
that a newer node may say more about itself, and one that is missing has `Member`'s default; only ``endpoint`` must be
there. What comes from outside is never trusted: `parse` either returns a member that the ring can be built from or
raises `BadRecord` with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from zmcache.core.ring import MAX_WEIGHT, STATES, Member

_MAX_ENDPOINT = 512


class BadRecord(ValueError):
    """Text that does not describe a member; says why."""


def encode(member: Member) -> str:
    """The JSON object of ``member``, without its node id."""
    return json.dumps(fields(member), ensure_ascii=False)


def fields(member: Member) -> dict[str, Any]:
    """What is written of ``member``, without its node id."""
    return {
        "endpoint": member.endpoint,
        "weight": member.weight,
        "zone": member.zone,
        "state": member.state,
        "protocol": member.protocol,
    }


def decode(node_id: str, text: bytes | str) -> Member:
    """The member that the JSON ``text`` describes. Raises `BadRecord`."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise BadRecord("not JSON") from exc
    return parse(node_id, found)


def parse(node_id: object, found: object) -> Member:
    """The member that a decoded JSON value describes. Raises `BadRecord`."""
    if not isinstance(node_id, str) or not node_id or "/" in node_id:
        raise BadRecord("a node id is text without a slash")
    _encodable(node_id, "a node id")
    if not isinstance(found, Mapping):
        raise BadRecord("not a JSON object")
    default = Member(node_id, "")
    endpoint = _text(found, "endpoint", "")
    if not endpoint or len(endpoint) > _MAX_ENDPOINT or any(char.isspace() for char in endpoint):
        raise BadRecord("endpoint must be an address without spaces")
    weight = found.get("weight", default.weight)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or weight != weight:
        raise BadRecord("weight must be a number")
    # Compared, not converted: a whole number may be larger than any float.
    if not 0 < weight <= MAX_WEIGHT:
        raise BadRecord(f"weight must be above 0 and at most {MAX_WEIGHT:g}")
    state = _text(found, "state", default.state)
    if state not in STATES:
        raise BadRecord(f"state must be one of {', '.join(STATES)}")
    protocol = found.get("protocol", default.protocol)
    if isinstance(protocol, bool) or not isinstance(protocol, int):
        raise BadRecord("protocol must be a whole number")
    return Member(node_id, endpoint, float(weight), _text(found, "zone", default.zone), state, protocol)


def _text(found: Mapping[str, Any], name: str, default: str) -> str:
    value = found.get(name, default)
    if not isinstance(value, str):
        raise BadRecord(f"{name} must be text")
    return _encodable(value, name)


def _encodable(text: str, name: str) -> str:
    """A lone surrogate, which JSON can spell, would be noticed only when it is to be sent on."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadRecord(f"{name} is not valid Unicode text") from None
    return text
