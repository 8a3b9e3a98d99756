"""A file that is whole or as it was: half a report never takes the place of one that could be read."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from .errors import LoadgenError


class CannotWrite(LoadgenError):
    """A report cannot be kept; the text names the file and the system's reason."""

    def __init__(self, path: Path, reason: OSError) -> None:
        super().__init__(f"{path}: cannot be written: {reason.strerror or reason}")
        self.path = path


def write_whole(path: Path, text: str) -> None:
    """Write ``text`` (UTF-8) beside ``path`` and put it in its place. Raises `CannotWrite`.

    A link is followed. What is no regular file, a pipe or a device, is written to and not replaced.
    """
    try:
        place = path.resolve()
        if place.exists() and not place.is_file():
            with place.open("w", encoding="utf-8") as file:
                file.write(text)
            return
        beside = place.with_name(f".{place.name}.{os.getpid()}.tmp")
        try:
            with beside.open("x", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())  # a full disk may only be told of here
            beside.replace(place)
        except FileExistsError:  # left by a process of the same number that was killed
            beside.unlink()
            write_whole(path, text)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
    except OSError as exc:
        raise CannotWrite(path, exc) from exc


def check_writable(path: Path) -> None:
    """See before something long whether its result can be kept, or raise `CannotWrite`. Nothing is overwritten, or left behind."""
    try:
        existed = path.exists()
        with path.open("a"):
            pass
        if not existed:
            path.unlink()
    except OSError as exc:
        raise CannotWrite(path, exc) from exc
