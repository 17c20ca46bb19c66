# Everything a newcomer types. `make demo` and `make test` set themselves up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: help setup demo live dev report deploy retire down logs verify test check crash equivalence faults hostile kills production test-templates bench clean

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/'

$(VENV)/.done: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)
	@echo "installing packages into $(VENV) (a minute or so)"
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

setup: $(VENV)/.done ## install everything into .venv

demo: setup ## run a whole competition to a leaderboard, then serve the Dagster UI; ARGS="--no-serve"
	$(BIN)/coordinator demo $(ARGS)

live: setup ## run a live competition on this machine, against Binance, until Ctrl-C; ARGS="--port 8000"
	$(BIN)/coordinator live $(ARGS)

dev: setup ## serve the Dagster UI and daemon for the competition in this folder
	$(BIN)/coordinator dev $(ARGS)

report: setup ## serve the leaderboard page, the report API and the tape of this folder; ARGS="--port 8000"
	$(BIN)/coordinator report $(ARGS)

deploy: ## start this folder's competition in containers, or its next version: docs/deploy.md
	docker/deploy

retire: ## stop the code server of the version before, once it has no more runs
	docker/deploy retire

down: ## stop the containers; the data stay
	docker/deploy down $(ARGS)

logs: ## what the containers print
	docker/deploy logs --follow --tail 200 $(ARGS)

# Where it is deployed, in its containers.
ifneq ($(wildcard docker/.env),)
verify: ## try what a competition needs, one step after the other
	docker/deploy verify $(ARGS)
else
verify: setup
	$(BIN)/coordinator verify $(ARGS)
endif

check: setup ## linters and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check ## linters, types and tests; ARGS="-m oracle"
ifdef ARGS
	$(BIN)/pytest $(ARGS)
else
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not realtime"; together=$$?; \
	$(BIN)/pytest -m realtime && exit $$together
endif

crash: setup ## kill -9 at every point of every asset, and at many random ones: most of an hour; ARGS="-k scores"
	COORDINATOR_TEST_KILLS=every $(BIN)/pytest -m crash $(ARGS)

kills: setup ## kill -9 whatever runs live, one after the other, while cycles go on: a quarter of an hour
	COORDINATOR_TEST_KILLS_LIVE=1 $(BIN)/pytest -s -m kills $(ARGS)

production: setup ## upgrade, loss of each part, many workers, backup and restore, while cycles go on: most of an hour
	COORDINATOR_TEST_PRODUCTION=1 $(BIN)/pytest -s -m production $(ARGS)

faults: setup ## 200 seeds of a venue that fails at random, the tape against what it held: half an hour
	COORDINATOR_TEST_SEEDS=200 $(BIN)/pytest -s --timeout 7200 -m faults $(ARGS)

hostile: setup ## each hostile model alone beside three good ones, with latencies: ten minutes
	COORDINATOR_TEST_HOSTILE=1 $(BIN)/pytest -s -m hostile $(ARGS)

equivalence: setup ## an hour of realtime and one of tournament, live at 20x against the stand-in exchange, and their replays
	COORDINATOR_TEST_WHOLE_HOUR=1 $(BIN)/pytest --timeout 1200 tests/live/test_equivalence.py $(ARGS)

test-templates: setup ## each pack, plain and with a spec.json: generated, installed and run; a quarter of an hour
	COORDINATOR_TEST_TEMPLATES=all $(BIN)/pytest -m template $(ARGS)

bench: setup ## measure; NAME=replay
	$(BIN)/python -m benchmarks $(NAME) $(ARGS)

clean: ## stop the embedded PostgreSQL and remove what was set up
	-$(BIN)/coordinator postgres stop
	rm -rf $(VENV) .coordinator .local.env .local.env.demo
