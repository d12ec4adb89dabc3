# make run     install into .venv and start the daemon (ARGS="--config.file=…" passes flags)
# make test    install what the tests need, and run all of them
# make test-debian13   the two above in a fresh Debian 13, in a tree that debootstrap makes (not a part of make test)
# make check   lint, types, layers, generated files, Prometheus' rules and Alertmanager's routes
# make test-rules PROMTOOL=PATH   test Prometheus' rules with the promtool of another version
# make bench   measure cost, truth and growth beside blackbox_exporter, and put the figures into docs/performance.md
# make bench-debian13   the same with Python and OpenSSL of Debian 13, as the image has them (ARGS="--only=cost --blackbox=/PATH")
# make fuzz    give what comes from outside every odd form, for ten minutes (ARGS="--cases 100000 --only dialogues")
# make soak    let everything go wrong at once for ten minutes, and put the figures into docs/reliability.md
# make docs    write the generated parts of docs/ again
# make dashboard   write the JSON of the Grafana dashboard again
# make lock    resolve the dependencies again

PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
PROMTOOL ?= promtool

.PHONY: install run test test-debian13 test-rules check bench bench-debian13 fuzz soak docs dashboard lock dev clean

install: .venv/installed
dev: .venv/dev

# The locks are complete. Left to resolve, older pips look past a pin at what is newest, and refuse it for want of a hash.
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-deps

# Looked at by every run: a .venv does not survive a move of the checkout, nor another Python in the place of its own.
.venv/pyvenv.cfg: FORCE
	@deploy/venv "$(PYTHON)" $(word 1,$(origin PYTHON))

FORCE:

# The build back end is pinned like everything else: build isolation would fetch the newest instead.
.venv/installed: .venv/pyvenv.cfg requirements.lock requirements-build.lock pyproject.toml
	$(PIP_INSTALL) --require-hashes --requirement requirements.lock --requirement requirements-build.lock
	$(PIP_INSTALL) --no-build-isolation --editable .
	@touch $@

.venv/dev: requirements-dev.lock .venv/installed
	$(PIP_INSTALL) --require-hashes --requirement requirements-dev.lock
	@touch $@

run: install
	$(BIN)/gmail-exporter $(ARGS)

# Three for two cores: half of the time the tests wait, for intervals and servers.
test: dev
	tests/servers/install
	$(BIN)/python -m pytest --numprocesses=3 $(ARGS)

test-debian13: dev
	$(BIN)/python -m tests.deploy.debian13 test "$(ARGS)"

bench-debian13: dev
	$(BIN)/python -m tests.deploy.debian13 bench "$(ARGS)"

test-rules: dev
	$(PROMTOOL) --version
	PROMTOOL=$(PROMTOOL) $(BIN)/python -m pytest --numprocesses=0 tests/deploy/test_rules.py $(ARGS)

check: dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check
	$(BIN)/python -m grafana.dashboard --check
	tests/servers/install
	promtool check config deploy/prometheus/prometheus.yml
	promtool check rules deploy/prometheus/gmail-*.yml
	amtool check-config deploy/alertmanager/alertmanager.yml
	$(BIN)/python deploy/helm/readme.py --check
	$(BIN)/python -m tests.deploy.chart
	$(BIN)/hadolint Dockerfile

bench: dev
	$(BIN)/python -m bench $(ARGS)
	$(BIN)/python docs/generate.py

fuzz: dev
	$(BIN)/python -m fuzz $(ARGS)

soak: dev
	tests/servers/install
	$(BIN)/python -m soak $(ARGS); code=$$?; $(BIN)/python docs/generate.py && exit $$code

docs: dev
	$(BIN)/python docs/generate.py
	$(BIN)/python deploy/helm/readme.py

dashboard: dev
	$(BIN)/python -m grafana.dashboard

# Universal: one lock for every Python and platform that pyproject.toml admits; no index address is written.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --no-header --upgrade
lock: dev
	$(LOCK) pyproject.toml --extra oauth --output-file requirements.lock
	$(LOCK) --group build --output-file requirements-build.lock
	$(LOCK) --group dev --constraint requirements.lock --output-file requirements-dev.lock

clean:
	rm -rf .venv
