"""Who hears of a key: once or of every value, and in which order."""

from __future__ import annotations

from zmcache.core.audience import Audience


class Hearer:
    def __init__(self, name: int, told: list[tuple[int, str, str]]) -> None:
        self.name, self.told = name, told

    def on_value(self, group: str, key: str) -> None:
        self.told.append((self.name, "value", key))

    def on_old(self, group: str, key: str) -> None:
        self.told.append((self.name, "old", key))

    def on_all_old(self, group: str) -> None:
        self.told.append((self.name, "all old", group))


def test_who_came_first_is_told_first_and_who_keeps_a_copy_only_once() -> None:
    audience, told = Audience("items"), list[tuple[int, str, str]]()
    hearers = [Hearer(name, told) for name in range(50)]
    for hearer in hearers:
        audience.watch(hearer, "k")
        audience.keep(hearer, "k")
        audience.keep(hearer, "other")
    audience.forget_watched(hearers[7], ["k"])
    audience.changed("k")
    watching = [name for name in range(50) if name != 7]
    assert told == [(n, "old", "k") for n in range(50)] + [(n, "value", "k") for n in watching]
    told.clear()
    audience.changed("k")
    assert told == [(n, "value", "k") for n in watching]
    told.clear()
    audience.cleared()
    assert told == [(n, "all old", "items") for n in range(50)] + [(n, "value", "k") for n in watching]
