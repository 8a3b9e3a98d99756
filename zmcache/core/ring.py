"""The ring: which node owns a key. Immutable: another membership is another ring.

Every node has ``points`` x weight points on a circle of 64-bit hashes, the xxh3-64 of ``"{node_id}#{i}"``; a key belongs to the node of the first
point at or after the xxh3-64 of the key. What follows from that, and has to stay true:

- owners depend on the members alone: not on their order, nor on which ring this one was built from (equal points are
  settled by node id);
- when a node joins or leaves, only its own share moves;
- two rings of equal `Epoch` give every key the same owner, whoever built them. Python's ``hash`` is never used: it
  differs by process.

A ring knows no socket, no clock and no health: a node that is away owns its keys until it is no member any more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, Final, NamedTuple

import xxhash

from zmcache.core import points as circle
from zmcache.core.points import MIXED, Place, Points, places_of
from zmcache.core.zones import Rounds, sizes_of, zones_of

# With 512 points the fullest of 10 equal nodes has about 1.075 of the mean (with groupcache's 50: 1.23); 1,024 would
# give 1.05 for twice the memory.
POINTS: Final = 512
SERVING: Final = "serving"
LEAVING: Final = "leaving"
JOINING: Final = "joining"
STATES: Final = (SERVING, JOINING, LEAVING)
# A ring has points in proportion to the weights: one absurd number from outside must not fill every reader's memory.
MAX_WEIGHT: Final = 1000.0


class Member(NamedTuple):
    """One node as the others see it.

    ``endpoint`` is where it is to be reached, which need not be what it binds. ``weight`` is its share of the ring
    relative to the others (1.0 is one ordinary node). ``state`` is ``"serving"``, ``"joining"`` or ``"leaving"``; only a node that
    serves owns anything.
    """

    node_id: str
    endpoint: str
    weight: float = 1.0
    zone: str = ""
    state: str = SERVING
    protocol: int = 16


class Epoch(NamedTuple):
    """Which membership a ring was built from: the discovery's revision, and a 64-bit digest of the members (0: none).

    Every ring of a static list has revision 0, and none of them is newer than another.
    """

    revision: int
    digest: int

    def newer_than(self, other: Epoch) -> bool:
        """Whether this one is to be preferred: its revision is greater. Digests only tell whether two rings are
        equal.
        """
        return self.revision > other.revision


class Movement(NamedTuple):
    """What another membership changes, in parts of all hashes (0 to 1), exactly."""

    share: float
    """How much changes its owner."""
    gained: dict[str, float]
    """By node id: what it takes over. Nodes that take over nothing are left out."""
    lost: dict[str, float]
    """By node id: what it gives away. Nodes that give away nothing are left out."""


class Ring:
    """See the module's docstring. Made by `Ring.build`; an empty one is false, and asking it for an owner raises
    `LookupError`.

    ``members`` is in no order to rely on, but `owner_index` is an index into it: a list kept parallel to it finds
    whatever belongs to a key's owner. Twelve million bytes with 1,000 nodes, 140 kB with one.
    """

    __slots__ = (
        "_by_id",
        "_counts",
        "_direct",
        "_owning",
        "_per_node",
        "_points",
        "_shift",
        "_sizes",
        "_zone_sizes",
        "_zones",
        "epoch",
        "members",
    )

    EMPTY: ClassVar[Ring]

    def __init__(
        self,
        members: tuple[Member, ...],
        revision: int,
        points: Points,
        counts: Sequence[int],
        per_node: int,
        sizes: Sequence[int],
    ) -> None:
        """Not for use from outside: `build`."""
        self.members = members
        self.epoch = Epoch(revision, _digest(members))
        self._by_id = {member.node_id: at for at, member in enumerate(members)}
        self._points = points
        self._counts = tuple(counts)
        self._per_node = per_node
        self._owning = len(counts) - self._counts.count(0)
        self._zones = zones_of(members, counts)
        self._zone_sizes = sizes_of(self._zones, counts)
        self._direct = points.direct
        self._shift = points.direct_shift
        self._sizes = sizes

    @classmethod
    def build(
        cls,
        members: Iterable[Member],
        revision: int,
        *,
        points: int = POINTS,
        previous: Ring | None = None,
        rest: Callable[[], object] | None = None,
    ) -> Ring:
        """The ring of ``members``. Of two with the same id the greater counts. Members that join or leave own nothing, unless
        none serves.

        ``points`` is how many a node of weight 1 has. More make the shares more even and the ring larger; all nodes and
        clients of a cluster need the same number. ``previous``, a ring of any membership, makes a small change cheap
        and changes nothing else. Run it in a thread where there may be many members (`zmcache.peers.building`); ``rest`` is called about
        every half millisecond. Raises `ValueError` for more than 65,535.
        """
        by_id = {member.node_id: member for member in sorted(members)}
        if len(by_id) > circle.MAX_NODES:
            raise ValueError(f"a ring has at most {circle.MAX_NODES} members, not {len(by_id)}")
        if previous is not None and previous._per_node != points:
            previous = None
        placed = _place(by_id, () if previous is None else previous.members)
        none_serves = all(member.state != SERVING for member in placed)
        counts = [
            max(1, round(points * member.weight)) if none_serves or member.state == SERVING else 0 for member in placed
        ]
        rest = rest or circle.no_rest
        built = None if previous is None else _merged(previous, placed, counts, rest)
        if built is None:
            built = circle.build(counts, [member.node_id for member in placed], rest)
        return cls(placed, revision, built, counts, points, built.sizes(len(placed), rest))

    def owner_index(self, key: str) -> int:
        """The index in `members` of the node that owns ``key``. About 0.3 us. Raises `LookupError` when nobody does."""
        position: int = xxhash.xxh3_64_intdigest(key.encode())
        # IndexError, which is a LookupError, when the ring is empty: this line then needs no test of its own.
        owner = self._direct[position >> self._shift]
        return owner if owner != MIXED else self._points.owner_of(position)

    def owner_indexes(self, keys: Sequence[str]) -> list[int]:
        """`owner_index` of each key; about two thirds of what asking for each would cost. Raises `LookupError` as it does."""
        if self._owning == 1:
            return [self._direct[0]] * len(keys)
        hash_of, direct, shift = xxhash.xxh3_64_intdigest, self._direct, self._shift
        indexes = [direct[hash_of(key.encode()) >> shift] for key in keys]
        if MIXED in indexes:
            indexes = [self.owner_index(keys[at]) if owner == MIXED else owner for at, owner in enumerate(indexes)]
        return indexes

    def owner(self, key: str) -> Member:
        """The node that owns ``key``. Raises `LookupError` when the ring is empty."""
        return self.members[self.owner_index(key)]

    def owners(self, key: str, n: int) -> tuple[Member, ...]:
        """The first ``n`` distinct nodes for ``key``, the owner first; fewer where there are fewer, none in an empty ring.
        About 2 us.

        They stand in one order whatever ``n`` is: as the circle has them, but, where members name zones, none of a zone again
        before each other zone has had its turn. So the first copy of a value is on the node that stands in for its owner.
        """
        return self.owners_at(circle.hash_key(key), n)

    def owners_at(self, position: int, n: int) -> tuple[Member, ...]:
        """`owners` of the keys whose hash is ``position``."""
        wanted = min(n, self._owning)
        if wanted <= 0:
            return ()
        owners, at = self._points.owners, self._points.find(position)
        zones = self._zones
        found: dict[int, None] = {}
        while zones is None:
            found[owners[at]] = None
            if len(found) == wanted:
                return tuple(self.members[index] for index in found)
            at = at + 1 if at + 1 < len(owners) else 0
        rounds = Rounds(zones, self._zone_sizes)
        while not rounds.are_known(wanted):
            rounds.meet(owners[at])
            at = at + 1 if at + 1 < len(owners) else 0
        return tuple(self.members[index] for index in rounds.first(wanted))

    def arc_of(self, position: int) -> int:
        """A number for the arc in which that hash lies: all its hashes have the same owners. Raises `LookupError` in an empty ring."""
        if not self._owning:
            raise LookupError("an empty ring")
        return self._points.find(position)

    def places_as(self, other: Ring) -> bool:
        """Whether every key has the same owners, in the same order, in both."""
        return self is other or (self._placement() == other._placement() and self._per_node == other._per_node)

    def _placement(self) -> list[tuple[str, int, str]]:
        placed = zip(self.members, self._counts, strict=True)
        return sorted((member.node_id, count, member.zone) for member, count in placed if count)

    def member(self, node_id: str) -> Member | None:
        """The member of that id, or None."""
        index = self._by_id.get(node_id)
        return None if index is None else self.members[index]

    def index(self, node_id: str) -> int | None:
        """Where in `members` the member of that id stands, or None."""
        return self._by_id.get(node_id)

    def share(self) -> dict[str, float]:
        """What part of all hashes each member owns, by node id; 0.0 for one that leaves."""
        return {member.node_id: size / circle.SPACE for member, size in zip(self.members, self._sizes, strict=True)}

    def movement_to(self, other: Ring) -> Movement:
        """What would change owners if ``other`` took this ring's place. Exact, by walking the points of both: 1 us a
        point.

        What nobody owned, or nobody would own, counts as moved.
        """
        gained: dict[str, int] = {}
        lost: dict[str, int] = {}
        for size, here, there in self._arcs(other):
            if here != there:
                if here is not None:
                    lost[here] = lost.get(here, 0) + size
                if there is not None:
                    gained[there] = gained.get(there, 0) + size
        total = max(sum(gained.values()), sum(lost.values()))
        return Movement(
            total / circle.SPACE,
            {node_id: size / circle.SPACE for node_id, size in gained.items()},
            {node_id: size / circle.SPACE for node_id, size in lost.items()},
        )

    def __len__(self) -> int:
        return len(self.members)

    def __contains__(self, node_id: object) -> bool:
        return node_id in self._by_id

    def __repr__(self) -> str:
        return f"<Ring of {len(self.members)}, {self.epoch}>"

    def _arcs(self, other: Ring) -> Iterable[tuple[int, str | None, str | None]]:
        """Every arc that no point of either ring divides: its size, and the ids of its owners here and there."""
        ends = sorted({*self._points.points, *other._points.points, circle.SPACE - 1})
        last = -1
        for end in ends:
            yield end - last, self._owner_at(end), other._owner_at(end)
            last = end

    def _owner_at(self, position: int) -> str | None:
        if not self._owning:
            return None
        return self.members[self._points.owner_of(position)].node_id


def _digest(members: Iterable[Member]) -> int:
    """64 bits of what decides who owns what and where it is reached; 0 for no members."""
    facts = sorted([m.node_id, m.endpoint, float(m.weight), m.zone, m.state] for m in members)
    return xxhash.xxh3_64_intdigest(json.dumps(facts).encode()) if facts else 0


def as_if_serving(members: Iterable[Member]) -> tuple[Member, ...]:
    """The members with those that join taken for serving: whose ring tells what joiners have to be given before they serve."""
    return tuple(m._replace(state=SERVING) if m.state == JOINING else m for m in members)


def _place(by_id: dict[str, Member], previous: tuple[Member, ...]) -> tuple[Member, ...]:
    """The new members in an order that leaves as many as possible where they were: only what moves has to be merged."""
    known = {member.node_id for member in previous}
    newcomers = [member for node_id, member in sorted(by_id.items(), reverse=True) if node_id not in known]
    placed: list[Member | None] = [by_id.get(member.node_id) for member in previous]
    for at, member in enumerate(placed):
        if member is None and newcomers:
            placed[at] = newcomers.pop()
    placed.extend(reversed(newcomers))
    for hole in [at for at, member in enumerate(placed) if member is None]:
        # A hole that no newcomer fills takes the last member, past any holes at the end.
        while placed and placed[-1] is None:
            placed.pop()
        if hole < len(placed):
            placed[hole] = placed.pop()
    return tuple(member for member in placed if member is not None)


def _merged(
    previous: Ring, placed: tuple[Member, ...], counts: Sequence[int], rest: Callable[[], object]
) -> Points | None:
    """The points made from the previous ring's; None where so much changes that building anew is cheaper."""
    before = {m.node_id: (at, previous._counts[at]) for at, m in enumerate(previous.members)}
    after = {m.node_id: (at, counts[at]) for at, m in enumerate(placed)}
    gone = {node_id: was for node_id, was in before.items() if after.get(node_id) != was}
    come = {node_id: new for node_id, new in after.items() if before.get(node_id) != new}
    changed = sum(count for _, count in (*gone.values(), *come.values()))
    if 4 * changed > len(previous._points.points):
        return None
    if not changed:
        return previous._points
    drop: list[Place] = [p for node_id, (at, count) in gone.items() for p in places_of(node_id, at, count)]
    add: list[Place] = [p for node_id, (at, count) in come.items() for p in places_of(node_id, at, count)]
    return circle.merge(
        previous._points,
        [member.node_id for member in previous.members],
        drop,
        add,
        [member.node_id for member in placed],
        rest,
    )


Ring.EMPTY = Ring((), 0, circle.build((), ()), (), POINTS, ())
