"""Runs of pytest in an environment where zmcache is installed as this checkout would be, whatever is installed really."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def installed(folder: Path) -> Path:
    """A folder of packages as an installation would make it: the plugin's package, and what names it to pytest."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (folder / "zmcache_pytest").symlink_to(ROOT / project["tool"]["setuptools"]["package-dir"]["zmcache_pytest"])
    about = folder / "zmcache_of_this_checkout-0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: zmcache-of-this-checkout\nVersion: 0\n")
    entries = project["project"]["entry-points"]["pytest11"]
    (about / "entry_points.txt").write_text(
        "[pytest11]\n" + "".join(f"{name} = {at}\n" for name, at in entries.items())
    )
    return folder


def run_pytest(folder: Path, *arguments: str, autoload: bool) -> subprocess.CompletedProcess[str]:
    """Of the tests in ``folder``. ``autoload``: pytest finds its plugins itself."""
    packages = folder / "packages"
    packages.mkdir()
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed(packages)), str(ROOT)])}
    if not autoload:
        env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-W", "error", "-c", os.devnull, f"--rootdir={folder}", "-p", "no:cacheprovider", *arguments],
        cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
