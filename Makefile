# make demo    shows the whole system on this machine; needs Python 3.11 or newer, no root, no server
# make test    installs what is missing, then runs the tests and says what was skipped and why
# make check   lint, format, types, import table, units
# make bench   measures; one JSON line per figure
# make long    tests that take minutes, half an hour in all; make soak: WATTLINE_SOAK_HOURS (24) of kills
# make docs    checks the links of all pages
# Each word can be repeated: what is there already is not installed again.

PYTHON := .venv/bin/python
PIP := $(PYTHON) -m pip install --quiet --disable-pip-version-check
# mosquitto lives in /usr/sbin, which Debian leaves off the PATH of ordinary users
export PATH := $(PATH):/usr/sbin:/usr/local/sbin

.PHONY: setup npm-peers demo test check bench long soak docs system-packages pip-peers

setup: .venv/dev.stamp

demo: .venv/demo.stamp
	.venv/bin/wattline demo $(DEMO)

test: setup npm-peers pip-peers
	$(PYTHON) -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(TESTS)

npm-peers: setup
	@$(PYTHON) tests/plants/npm_package.py

pip-peers: setup
	@$(PYTHON) tests/plants/pip_package.py

check: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	$(PYTHON) -m pytest --quiet tests/test_layout.py tests/test_units.py

bench: setup
	$(PYTHON) -m benchmarks $(BENCH)

long: setup pip-peers
	$(PYTHON) -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -m long --timeout 3600 $(TESTS)

soak: setup
	$(PYTHON) -m pytest -m soak --timeout 0 $(TESTS)

docs: setup
	$(PYTHON) -m pytest --quiet tests/test_docs.py

system-packages:
	@scripts/system-packages

$(PYTHON):
	@python=$$(scripts/newest-python) && echo "creating .venv with $$python" && "$$python" -m venv .venv

.venv/dev.stamp: pyproject.toml | system-packages $(PYTHON)
	$(PIP) --editable '.[dev]'
	@touch .venv/demo.stamp $@

.venv/demo.stamp: pyproject.toml | $(PYTHON)
	$(PIP) --editable ".[edge,aggregator,sim$$(command -v mosquitto >/dev/null || echo ,demo)]"
	@touch $@
