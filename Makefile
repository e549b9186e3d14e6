# Paceline's commands; `make` alone lists them.
#
# Everything runs in .venv, which .ci/environment builds from the lock files when they changed. An option of Paceline can be given behind
# any command: make run PACELINE_LOG_LEVEL=debug DATABASE_URL=postgresql://… (PORT=9000 is short for PACELINE_PORT=9000).

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run compiled replay load bench faults test lint format types lock clean

PY := .venv/bin/python
PACKAGES := gateway realtime rooms workers persistence services paceline loadtest tests

# Only what was typed behind `make` counts: an exported PORT means something else to many shells.
ifeq ($(origin PORT),command line)
export PACELINE_PORT := $(PORT)
endif
ifeq ($(origin PYTHON),command line)
export PYTHON
endif

USERS ?= 50
SECONDS ?= 30
URL ?= http://127.0.0.1:$(or $(PACELINE_PORT),8080)

UV_LOCK := UV_NO_CONFIG=1 UV_CUSTOM_COMPILE_COMMAND="make lock" $(PY) -m uv pip compile pyproject.toml --quiet --universal \
	--python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade)

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

run: ## start everything on this machine (Ctrl-C stops it)
	@.ci/environment runtime
	@exec $(PY) -m paceline run $(ARGS)

compiled: ## compile the modules on the way of every frame (needs a C compiler); `make run` then takes them
	@.ci/environment dev
	@exec $(PY) -m paceline.compiling

replay: ## stream recordings into a class: make replay ARGS='--class CODE --speed 10 ride.fit'
	@.ci/environment runtime
	@exec $(PY) -m paceline replay $(ARGS)

load: ## run simulated devices against a running gateway: USERS=50 SECONDS=30 URL=http://127.0.0.1:8080
	@.ci/environment dev
	@exec $(PY) -m locust -f loadtest/locustfile.py --headless --only-summary --users $(USERS) --spawn-rate 10 \
		--run-time $(SECONDS)s --host "$(URL)" $(ARGS)

bench: ## measure; the results go to docs/performance/
	@.ci/environment dev
	@$(PY) -m paceline.compiling || echo "Measured as it is, not compiled." >&2
	@exec $(PY) -m tests.benchmarks $(ARGS)

faults: ## break it in every way, count what is lost: make faults ARGS='--only F-10 --seed 7'
	@.ci/environment dev
	@exec $(PY) -m tests.faults $(ARGS)

# The tests start hundreds of programs: where compiled modules are not kept, each would compile all of them anew.
test: ## everything that must hold: format, lint, import contracts, types, tests
	@.ci/environment dev
	@$(PY) -m tests.support.system_parts
	@echo "format"; $(PY) -m ruff format --check --quiet .
	@echo "lint"; $(PY) -m ruff check --quiet .
	@echo "import contracts"; $(PY) -c 'from importlinter.cli import lint_imports_command as main; main()'
	@echo "types"; $(PY) -m mypy --strict $(PACKAGES)
	@echo "tests"; env -u PYTHONDONTWRITEBYTECODE $(PY) -m pytest --numprocesses auto --maxprocesses 4 $(ARGS)

lint: ## style and import contracts only
	@.ci/environment dev
	@$(PY) -m ruff check .
	@$(PY) -c 'from importlinter.cli import lint_imports_command as main; main()'

format: ## put the code into its format
	@.ci/environment dev
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --quiet --fix-only .

types: ## mypy --strict
	@.ci/environment dev
	@$(PY) -m mypy --strict $(PACKAGES)

lock: ## write the lock files anew from pyproject.toml (UPGRADE=1 takes newer versions)
	@.ci/environment dev
	@$(UV_LOCK) --output-file requirements.txt
	@$(UV_LOCK) --extra dev --extra otel --constraint requirements.txt --output-file requirements-dev.txt
	@if grep -n -E 'file:|https?:' requirements.txt requirements-dev.txt; then \
		echo "These lines name where packages came from; they must not be committed." >&2; exit 1; fi

clean: ## remove the environment and every cache; .data stays (rm -r .data loses the local data)
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache tests/journeys/js/node_modules tests/journeys/admin-ui/node_modules \
		tests/benchmarks/sockets/js/node_modules tests/benchmarks/sockets/build tests/deploy/js/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
