# Everything here sets itself up: a .venv is made and filled when there is none, and again when pyproject.toml has changed.
# `make` alone lists the targets. PYTHON=python3.12 chooses the interpreter that .venv is made with (3.11 or later).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
COVERAGE := $(BIN)/python -m coverage
# Several at a time. All have to find the same tests in the same order, and some are named after the members of sets.
export PYTHONHASHSEED := 0
# Where this is set, each of the hundreds of processes that tests start would compile all of zmcache anew.
unexport PYTHONDONTWRITEBYTECODE
# Four on two processors: most tests wait most of the time, and the simulation, which takes long, gives way to them (see `early`).
QUICK_TESTS := -m pytest -n 4 --dist worksteal -m "not slow and not alone"
# Those stand in one folder, which is all that has to be collected for them.
LONE_TESTS := -m pytest -m "alone and not slow" tests/integration

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all simulate check lint types imports coverage bench experiments faults format clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: $(STAMP) ## Make .venv and install zmcache with all it needs

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "zmcache needs Python 3.11 or later; $(PYTHON) is not. Name another: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@# A .venv whose interpreter is gone (another machine, an upgrade) is made anew.
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(STAMP) ## Etcd, three nodes and a database; traffic while a node joins and another leaves (half a minute)
	$(BIN)/python -m zmcache_loadgen.demo

test: $(STAMP) ## The tests (five minutes on two cores)
	$(BIN)/python $(LONE_TESTS)
	$(BIN)/python $(QUICK_TESTS)

test-all: $(STAMP) ## All tests, those that take long included
	$(BIN)/python $(LONE_TESTS)
	$(BIN)/python $(QUICK_TESTS)
	$(BIN)/python -m pytest -m slow

simulate: $(STAMP) ## Search simulated clusters for broken promises (HISTORIES=100000 FIRST=0), or replay one of them (SEED=n)
	$(BIN)/python tests/simulation/simulate.py $(if $(SEED),--seed $(SEED),--histories $(or $(HISTORIES),100000) --first $(or $(FIRST),0))

check: lint types imports coverage ## Ruff, mypy --strict, pyright, import-linter, and the tests with branch coverage

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy
	@# It would ask the package index for a newer one.
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright

imports: $(STAMP)
	$(BIN)/lint-imports --no-cache

# The simulation's thousand histories run in processes that are not measured (see `simulate` in its tests): they are `make test`'s to run.
coverage: export SIMULATED_HISTORIES := 20
coverage: $(STAMP)
	$(COVERAGE) erase
	$(COVERAGE) run $(LONE_TESTS)
	$(COVERAGE) run $(QUICK_TESTS)
	$(COVERAGE) combine --quiet
	$(COVERAGE) report
	$(COVERAGE) report --include='zmcache/*' --fail-under=96 --format=total

bench: $(STAMP) ## The measured table, against redis, memcached and plain ZeroMQ; writes results/bench.json
	$(BIN)/zmcache-loadgen bench

experiments: $(STAMP) ## What the cache is worth, as pictures in results/report.html (QUICK=1: a look; TRACES="FILE ...": for hit-rate)
	$(BIN)/zmcache-loadgen experiment all $(if $(QUICK),--quick) $(addprefix --trace ,$(TRACES))

faults: $(STAMP) ## The fault suite: real nodes killed, stopped, cut off (some twelve minutes); writes results/faults.json (ONLY=NAME,NAME; SEED=7)
	PYTHONPATH=tests $(BIN)/python -m faults $(if $(ONLY),--only $(ONLY)) $(if $(SEED),--seed $(SEED))

format: $(STAMP) ## Format the code
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

clean: ## Remove what the other targets made
	rm -rf $(VENV) build dist results .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf *.egg-info
