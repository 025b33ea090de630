# One target per task. Everything is installed into .venv; make and Python 3.11 to 3.13 are all that is needed.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# TensorFlow takes three times as long to import without bytecode.
unexport PYTHONDONTWRITEBYTECODE

# A test file stays in one process, so that its fixtures are set up once. Slow tests measure seconds and run alone.
FAST = $(PY) -m pytest -n 2 --dist loadfile -m "not slow and not browser"

.PHONY: help app test test-fast check lint bench docs lock chromium clean
help:
	@echo "make app        install and start Groundplan"
	@echo "make test       install the development dependencies, lint, check types, run all tests"
	@echo "make test-fast  lint and run the tests that need neither ten seconds nor a browser"
	@echo "make check      lint and check types"
	@echo "make bench      run the benchmarks: labels, scoring, prediction, training, inference, map, pages"
	@echo "make docs       generate the reference pages and build the documentation into site/"
	@echo "make lock       compile requirements*.txt from pyproject.toml (newest versions: make lock LOCK=--upgrade)"
	@echo "make chromium   install Chromium and GDAL's command line tools for the tests"
	@echo "make clean      remove .venv, caches and site/"

app: $(VENV)/.app
	@$(PY) -m core app

test: $(VENV)/.dev chromium check
	$(FAST)
	$(PY) -m pytest -m "slow or browser"

test-fast: $(VENV)/.dev lint
	$(FAST)

check: $(VENV)/.dev lint
	$(PY) -m mypy

lint: $(VENV)/.dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

bench: $(VENV)/.dev chromium
	$(PY) -m benchmarks.labels
	$(PY) -m benchmarks.scoring
	$(PY) -m benchmarks.prediction
	$(PY) -m benchmarks.training
	$(PY) -m benchmarks.steps
	$(PY) -m benchmarks.inference
	$(PY) -m benchmarks.thresholds
	$(PY) -m benchmarks.map
	$(PY) -m benchmarks.pages

# docs.generate writes the pages that come from the source: commands, settings, networks.
docs: $(VENV)/.dev
	$(PY) -m docs.generate
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict

# One version of everything in all files: requirements-dev.txt is resolved first and constrains the others.
# Versions in the files stay while they satisfy pyproject.toml. tests/test_requirements.py compares the digest.
LOCK ?=
COMPILE = $(VENV)/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes $(LOCK) \
 --custom-compile-command "make lock  (dependencies sha256:$$($(PY) -m tests.test_requirements))"

lock:
	$(environment)
	$(COMPILE) --extra dev -o requirements-dev.txt
	$(COMPILE) -c requirements-dev.txt -o requirements.txt
	for extra in gpu ray mlflow openvino; do \
	 $(COMPILE) -c requirements-dev.txt --extra $$extra -o requirements-$$extra.txt || exit; done
	for file in requirements*.txt; do \
	 sed '/^    #   -c requirements-dev.txt$$/d' $$file >$(VENV)/.lock.txt && cat $(VENV)/.lock.txt >$$file || exit; done
	rm $(VENV)/.lock.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache site

# Ends with a message where requirements*.txt, whose lines are for certain platforms only, would install nothing.
SUPPORTED := import platform, sys; \
 sys.exit("Groundplan needs Python 3.11, 3.12 or 3.13; name one with make PYTHON=python3.12" \
 if not (3, 11) <= sys.version_info[:2] <= (3, 13) else "TensorFlow has no wheels for Macs with an Intel processor" \
 if (platform.system(), platform.machine()) == ("Darwin", "x86_64") else 0)

# Whether packages can be installed into .venv: it has a supported Python, and pip or uv.
USABLE = $(PY) -c '$(SUPPORTED)' 2>/dev/null \
 && { test -x $(VENV)/bin/uv || $(PY) -m pip --version >/dev/null 2>&1; }

# .venv with uv, which installs the three gigabytes in a fifth of pip's time. Without uv, pip installs them.
define environment
	@{ $(USABLE); } || { $(PYTHON) -c '$(SUPPORTED)' && $(PYTHON) -m venv --clear $(VENV); }
	@test -x $(VENV)/bin/uv || $(PY) -m pip install --quiet uv==0.13.9 || echo "uv cannot be installed, pip takes a few minutes"
endef

define install
	$(environment)
	@if test -x $(VENV)/bin/uv; then $(VENV)/bin/uv pip install --python $(PY) --compile-bytecode --require-hashes -r $(1); \
	 else $(PY) -m pip install --quiet --require-hashes -r $(1); fi
	@touch $@
endef

$(VENV)/.app: requirements.txt
	$(call install,requirements.txt)

$(VENV)/.dev: requirements-dev.txt
	$(call install,requirements-dev.txt)
	@touch $(VENV)/.app

# Debian's Chromium (and libatomic, which Playwright's driver needs) where apt is at hand, Playwright's own otherwise;
# and Debian's GDAL, which opens what is exported.
chromium: $(VENV)/.dev
	@{ command -v chromium && command -v ogrinfo && $(PY) -m playwright --version; } >/dev/null 2>&1 \
	 || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -q >/dev/null \
	      && apt-get install -y -q --no-install-recommends chromium fonts-dejavu-core libatomic1 gdal-bin >/dev/null; } \
	 || $(PY) -m playwright install --with-deps chromium
