# Two commands: `make demo` shows the product, `make test` runs every check. Both set up what they need, once.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.ready
BIN := $(VENV)/bin

.PHONY: setup demo app browser test format lint types imports tests browser-tests gpu-tests docs clean

setup: $(STAMP)

# constraints.txt pins every version; pyproject.toml keeps the ranges that the packages really work with.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or sys.exit(f"Python 3.11 to 3.13 is needed, this is {v[0]}.{v[1]}. Use: make PYTHON=python3.12 setup")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps gradio==6.31.0
	touch $(STAMP)

demo: setup
	$(BIN)/studio demo

app: setup
	$(BIN)/studio app

test: lint types imports browser tests

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports --no-cache

# The app is tested in a real Chromium, and for accessibility with axe-core. On a machine where Debian's packages can be
# installed they are, once; elsewhere this says what is missing.
browser:
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-noto-cjk >/dev/null; } || \
	  { echo "The app's tests need Chromium: apt-get install chromium fonts-noto-cjk" >&2; exit 1; }
	@[ -f node_modules/axe-core/axe.min.js ] || npm install --no-save --silent --no-audit --no-fund axe-core@4.14.1 || \
	  { echo "The app's tests need axe-core: npm install --no-save axe-core@4.14.1" >&2; exit 1; }

tests: setup
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not browser and not gpu"

# Every tab in a real Chromium, and the app under attack and load; a file's tests share an app, so a file stays together.
browser-tests: setup browser
	$(BIN)/python -m pytest -n 2 --dist loadfile -m browser tests/studio/app

# On the GPU of this machine, with the torch that $(PYTHON) has, so that a bare machine needs no environment of ours, as in
# `make gpu-tests PYTHON=python3`. A Python without torch gets the environment that the other targets use.
CUDA := -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'
gpu-tests:
	@python=$(PYTHON); $$python -c 'import torch' 2>/dev/null || { $(MAKE) --no-print-directory setup && python=$(BIN)/python; } && \
	  { $$python $(CUDA) || { echo "$$python sees no CUDA device, so no test for GPUs can run." >&2; exit 1; }; } && \
	  $$python -m pytest -m gpu tests/gpu

# The documentation as a site in site/; a link that leads nowhere is an error.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir site
	@echo "Open site/index.html"

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) demo-results .mypy_cache .ruff_cache .pytest_cache .hypothesis
