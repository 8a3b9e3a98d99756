"""``python -m faults``: the fault suite, or a part of it.

Exit codes: 0 every promise holds; 1 a promise was broken, or a run was no run; 2 a wrong option; 3 something could not be measured on this machine
(it is named), and all else holds; 130 Ctrl-C.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import Console
from zmcache_loadgen.errors import LoadgenError
from zmcache_loadgen.files import check_writable, write_whole

from faults.catalogue import FAULTS, Fault
from faults.children import TESTS
from faults.namespaces import INSIDE, inside
from faults.report import print_result, print_table, summary
from faults.run import How, is_apart, run
from faults.verdict import Result

_DEFAULT_JSON: Final = Path("results/faults.json")
_KEPT: Final = Path("results/faults")


class _Names(click.ParamType[tuple[Fault, ...]]):
    name = "names"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Fault, ...]:
        if isinstance(value, tuple):
            return value
        known = {fault.name: fault for fault in FAULTS}
        names = [name.strip() for name in str(value).split(",") if name.strip()]
        for name in names:
            if name not in known:
                self.fail(f"{name!r} is not one of {', '.join(known)}", param, ctx)
        return tuple(known[name] for name in names)


@click.command(
    help=__doc__.partition("\n\n")[0].partition(": ")[2].capitalize() if __doc__ else None,
    epilog=__doc__.partition("\n\n")[2] if __doc__ else None,
)
@click.option("--quick", is_flag=True, help="Two of them, in half a minute, with half as many callers.")
@click.option("--only", type=_Names(), metavar="NAME,NAME", help="These, in this order.")
@click.option("--list", "listing", is_flag=True, help="List the faults and run none.")
@click.option(
    "--json",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"Where the table is kept. Default: {_DEFAULT_JSON} for the whole suite, else nowhere.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Of every choice that a run makes: whom it befalls, which keys are asked for.",
)
@click.option(
    "--copies", type=click.IntRange(1, 8), help="R, where a fault does not say otherwise. Default: each fault's own."
)
@click.option("--acks", type=click.IntRange(1, 8), help="W, likewise.")
@click.option("--relays", is_flag=True, help="Cut by relays, where nodes could have networks of their own.")
@click.option(
    "--sabotage", is_flag=True, help="Have the nodes keep one copy, whatever is promised: to see that it is noticed."
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the records and logs of all runs here. Default: of those that did not hold, under results/faults.",
)
def main(
    *, quick: bool, only: tuple[Fault, ...] | None, listing: bool, file: Path | None, seed: int, copies: int | None, acks: int | None,
    relays: bool, sabotage: bool, keep: Path | None,
) -> None:  # fmt: skip
    console = Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=140)
    if listing:
        for fault in FAULTS:
            console.print(f"{fault.name:20} {fault.what}{'  (quick)' if fault.quick else ''}", soft_wrap=True)
        return
    chosen = only or tuple(fault for fault in FAULTS if fault.quick or not quick)
    if copies is not None and (acks or 1) > copies:
        raise click.UsageError(f"--acks {acks} is more than --copies {copies}")
    if file is None and not (quick or only):
        file = _DEFAULT_JSON
    try:
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            check_writable(file)
        how = How(seed=seed, copies=copies, acks=acks, relays=relays, sabotage=sabotage, callers=5 if quick else 10)
        results = []
        for fault in chosen:
            result = _one(fault, how, keep)
            results.append(result)
            print_result(result, console)
        console.print()
        print_table(results, console)
        if file is not None:
            write_whole(file, json.dumps(summary(results), indent=2) + "\n")
    except LoadgenError as error:
        raise click.ClickException(str(error)) from error
    sys.exit(exit_code(results))


def exit_code(results: Sequence[Result]) -> int:
    if any(result.broken or result.problems for result in results):
        return 1
    return 3 if any(result.not_here for result in results) else 0


def _one(fault: Fault, how: How, keep: Path | None) -> Result:
    folder = Path(tempfile.mkdtemp(prefix="zmcache-faults-"))
    try:
        if is_apart(fault, relays=how.relays) and not os.environ.get(INSIDE):
            result = _one_inside(fault, how, folder)
        else:
            result = asyncio.run(run(fault, folder, how))
        if os.environ.get(INSIDE):
            # Who runs this command keeps all of it.
            if keep is not None:
                shutil.copytree(folder, keep, dirs_exist_ok=True)
            return result
        if keep is not None or not (result.holds or result.not_here):
            kept = (keep or _KEPT) / fault.name
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(folder, kept)
            result.notes.append(f"its record and logs are kept in {kept}")
        return result
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _one_inside(fault: Fault, how: How, folder: Path) -> Result:
    """The same by this command in a network of its own, which hands back its row."""
    table = folder / "table.json"
    copies, acks = how.of(fault)
    options = [f"--only={fault.name}", f"--json={table}", f"--seed={how.seed}", f"--keep={folder}"]
    options += [f"--copies={copies}", f"--acks={acks}", *(["--sabotage"] if how.sabotage else [])]
    command, variables = inside([sys.executable, "-m", "faults", *options])
    env = {**os.environ, **variables, "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, check=False)
    if done.returncode in (0, 1, 3) and table.exists():
        return msgspec.convert(json.loads(table.read_text())["faults"][0], Result)
    last = (done.stderr.strip() or done.stdout.strip())[-800:]
    return Result(
        fault=fault.name, what=fault.what, copies=copies, acks=acks, seed=how.seed,
        problems=[f"the command in a network of its own ended with code {done.returncode}: {last}"],
    )  # fmt: skip


if __name__ == "__main__":
    main(prog_name="faults")
