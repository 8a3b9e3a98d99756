"""``python -m zmcache`` is ``zmcache``: how `zmcache up` starts its nodes, with the interpreter that it runs on itself."""

from zmcache.cli import main

main(prog_name="zmcache")
