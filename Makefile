# The two commands: `make up` starts the whole product, `make test` proves it. Both install what they need into
# .venv and .cache, of this folder, and need nothing but Python 3.11 (or later) and make.

.DEFAULT_GOAL := help
.PHONY: help up test lint types imports pytest bench stack format lock venv clean FORCE

READY := .venv/.complete
RUN := .venv/bin/python -m

# How many processes run tests. More than cores: much of the time a test waits for what it started.
WORKERS := 3

# Every cache stays in this folder.
export PIP_CACHE_DIR := $(CURDIR)/.cache/pip
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile

up: $(READY) ## start the whole product on embedded servers (make up ARGS=--empty: without the demo shop)
	@exec .venv/bin/python -m counterfoil up $(ARGS)

test: lint types imports pytest ## style, types, import rules and all the tests

lint: $(READY) ## check style and format (ruff)
	$(RUN) ruff check .
	$(RUN) ruff format --check .

types: $(READY) ## check types (mypy --strict)
	$(RUN) mypy

imports: $(READY) ## check who imports whom (import-linter)
	.venv/bin/lint-imports --no-logo --cache-dir .cache/import_linter

pytest: $(READY) ## run the tests (make pytest ARGS=tests/rules: some of them)
	@$(RUN) ops.fetch || echo "The tests that need them are skipped, by name." >&2
	$(RUN) pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

bench: $(READY) ## run all the benchmarks (make bench ARGS="--seconds 5 --json FILE"; about a quarter of an hour)
	$(RUN) bench all $(ARGS)

stack: $(READY) ## start Postgres, Valkey, Kafka and OpenSearch alone (make stack ARGS=FOLDER), for docs/stack.md
	@exec .venv/bin/python -m ops.stack $(ARGS)

format: $(READY) ## put imports and layout in order
	$(RUN) ruff check --select I --fix .
	$(RUN) ruff format .

# One lock for product and tools. It carries hashes and no addresses.
# Not on $(READY): a dependency that was just added is not in the lock yet, and no environment is whole without it.
lock: ## write requirements.lock anew from pyproject.toml (make lock ARGS=--upgrade: newest versions)
	@[ -x .venv/bin/pip-compile ] || $(MAKE) --no-print-directory venv
	$(RUN) piptools compile --quiet --extra dev --generate-hashes --allow-unsafe --strip-extras --no-header \
		--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options \
		--output-file requirements.lock $(ARGS) pyproject.toml

venv: $(READY) ## install everything, pinned, into .venv

# Asked every time, because only .ci/environment.py can tell a whole environment from a broken or a copied one.
$(READY): FORCE
	@for python in "$$PYTHON" python3.11 python3 python3.12 python3.13 python3.14 python; do \
		if [ -n "$$python" ] && "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			exec "$$python" .ci/environment.py; \
		fi; \
	done; \
	echo "Counterfoil needs Python 3.11 or later, and found none. Install it, or name it: make PYTHON=/path/to/python3" >&2; \
	exit 1

clean: ## remove the environment and every cache (data in var/ stays)
	rm -rf .venv .cache build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
