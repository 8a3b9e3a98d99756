"""A board of quotes: watches what `feed.py` sets, and draws it in the terminal until the market closes.

    python docs/examples/board.py zmcache://127.0.0.1:7501,127.0.0.1:7502,127.0.0.1:7503

Nothing is asked again and again: each price comes as it is set. The board draws ten times a second; of what is set in between it gets the latest, and
is told how many it did not see. Where its output is no terminal it draws once, at the end.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque

import zmcache

SYMBOLS = ("EURUSD", "GBPUSD", "USDJPY", "USDCHF")
_DRAWS_S = 0.1
_BARS = "▁▂▃▄▅▆▇█"


class Line:
    """One symbol: its price, where it has been, and how often it has changed."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.prices: deque[float] = deque(maxlen=40)
        self.seen = self.skipped = 0

    def take(self, update: zmcache.Update[float]) -> None:
        """A new price."""
        if update.value is not None:
            self.prices.append(update.value)
        self.seen += 1
        self.skipped += update.skipped

    def __str__(self) -> str:
        if not self.prices:
            return f"{self.symbol}  no price yet"
        low, high = min(self.prices), max(self.prices)
        steps = (len(_BARS) - 1) / (high - low) if high > low else 0.0
        way = "".join(_BARS[round((price - low) * steps)] for price in self.prices)
        arrow = " " if len(self.prices) < 2 else "↑" if self.prices[-1] >= self.prices[-2] else "↓"
        return f"{self.symbol} {self.prices[-1]:.5f} {arrow} {way:40}  {self.seen} seen, {self.skipped} skipped"


def draw(lines: dict[str, Line], *, again: bool) -> None:
    """All lines; ``again``: in the place of the last ones."""
    up = f"\x1b[{len(lines)}F" if again else ""
    print(up + "\n".join(f"\x1b[K{line}" if again else str(line) for line in lines.values()), flush=True)


async def main(address: str) -> None:
    """Until the market is closed."""
    lines = {symbol: Line(symbol) for symbol in SYMBOLS}
    drawn_s, is_terminal, has_drawn = 0.0, sys.stdout.isatty(), False
    async with zmcache.connect(address) as cache:
        quotes = cache.group("quotes", codec="msgpack")
        closed = False
        async for update in quotes.watch(*SYMBOLS, "closed"):
            if update.key == "closed":
                closed = bool(update.value)
            else:
                lines[update.key].take(update)
            if closed and all(line.prices for line in lines.values()):
                break
            if is_terminal and time.monotonic() - drawn_s >= _DRAWS_S:
                draw(lines, again=has_drawn)
                drawn_s, has_drawn = time.monotonic(), True
    draw(lines, again=has_drawn)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
