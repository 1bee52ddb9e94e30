PYTHON ?= python3
MINUTES ?= 3
BIN := .venv/bin

.PHONY: run test check benchmark benchmark-peers torture conformance newest docs format lock

run: .venv/runtime  ## set up, then serve over HTTP and print what to paste into a client
	scripts/engine.sh
	-scripts/compose.sh
	$(BIN)/docker-mcp http

test: .venv/development  ## set up, then lint, check types and run all tests
	PYTHON=$(PYTHON) MAKE=$(MAKE) scripts/test.sh

check: .venv/development
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

benchmark: .venv/development  ## print and chart the speed table, each figure beside its floor; OPTIONS as --large
	scripts/test-parts.sh
	scripts/engine.sh
	scripts/compose.sh
	$(BIN)/python -m tests.benchmarks $(OPTIONS)

benchmark-peers: .venv/development  ## measure side by side with another Docker MCP server, which it installs apart
	scripts/engine.sh
	scripts/peers.sh

torture: .venv/development  ## kill, pause and break servers for MINUTES on each database, then compare what is left
	scripts/test-parts.sh
	scripts/engine.sh
	scripts/compose.sh
	$(BIN)/python -m tests.torture --minutes $(MINUTES)

conformance: .venv/development  ## run the official conformance suite of MCP and the inspector, which npm installs
	scripts/engine.sh
	scripts/conformance-parts.sh
	$(BIN)/pytest tests/conformance

newest:  ## install the newest dependencies that are allowed into an environment of their own, and smoke-test them
	PYTHON=$(PYTHON) scripts/newest.sh

docs: .venv/development  ## write the reference pages and the dashboards from the declarations
	$(BIN)/python -m server.reference
	$(BIN)/python -m dashboards

format: .venv/development
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock:  ## pin the newest versions that fit
	uv pip compile -q --upgrade pyproject.toml --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --no-annotate -o requirements.txt
	uv pip compile -q --upgrade pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --no-annotate -c requirements.txt -o requirements-dev.txt

.venv/runtime: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/pip install -q --disable-pip-version-check --no-deps -e .
	touch $@

.venv/development: requirements-dev.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@ .venv/runtime
