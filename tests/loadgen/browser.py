"""A real browser without a window: it opens a page from disk and tells what became of it.

Where there is no Chromium the tests that need one are skipped by name, or fail where CI or ZMCACHE_REQUIRE_SERVERS=1
says that nothing may be skipped.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_LIMIT_S = 90.0  # it starts in two seconds; a busy machine takes longer
_CONSOLE = re.compile(r":CONSOLE[:(]\d+\)?\] (.*)")
_ANSWER = "browser-answer"


class Opened(NamedTuple):
    """What became of a page. ``console``: every line that was written there, errors among them. ``answer``: the question's."""

    console: list[str]
    answer: Any


def browser() -> str:
    """The program; skips, or fails, where none is installed."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    return found or _missing()


def opened(page: Path, question: str = "null", *, width: int = 1200, dark: bool = False) -> Opened:
    """Open ``page`` in a window so wide, and ask it ``question``: a JavaScript expression whose value becomes JSON.

    The question stands in a copy of the page, in a script after the page's own.
    """
    with tempfile.TemporaryDirectory(prefix="zmcache-browser-", ignore_cleanup_errors=True) as folder:
        asking = (
            f'<pre id="{_ANSWER}"></pre><script>document.getElementById("{_ANSWER}").textContent = '
            f"JSON.stringify({question});</script></body>"
        )
        copy = Path(folder) / "page.html"
        copy.write_text(page.read_text(encoding="utf-8").replace("</body>", asking), encoding="utf-8")
        dom, log = _run(copy, Path(folder) / "profile", width, dark)
    answer = re.search(rf'<pre id="{_ANSWER}">(.*?)</pre>', dom, re.DOTALL)
    assert answer, f"the page was not opened:\n{log}"
    return Opened(_CONSOLE.findall(log), json.loads(unescape(answer[1])) if answer[1] else None)


def _run(page: Path, profile: Path, width: int, dark: bool) -> tuple[str, str]:
    command = [
        browser(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        f"--user-data-dir={profile}", f"--window-size={width},900", "--enable-logging=stderr",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}", "--virtual-time-budget=2000", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    try:
        dom, log = process.communicate(timeout=_LIMIT_S)
    finally:
        # Its helpers are in its process group, and would outlive it where it was given up on.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return dom.decode(errors="replace"), log.decode(errors="replace")


def _missing() -> NoReturn:
    reason = "needs the browser `chromium`: apt-get install chromium"
    if os.environ.get("CI", "").lower() in ("1", "true") or os.environ.get("ZMCACHE_REQUIRE_SERVERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
