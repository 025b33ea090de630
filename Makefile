# One word a task. Everything lands in .venv; nothing else is needed than make and Python 3.11 or newer.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# TensorFlow takes three times as long to import without bytecode.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help app test check bench chromium clean
help:
	@echo "make app     install and start Groundplan"
	@echo "make test    install what tests need, lint, check types, run all tests"
	@echo "make check   lint and types only"
	@echo "make bench   measure labels, scoring, prediction, training, steps, inference, thresholds, the map and the pages against the plain way and the limit"

app: $(VENV)/.app
	@$(PY) -m core app

test: $(VENV)/.dev chromium check
	$(PY) -m pytest

check: $(VENV)/.dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

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

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache

# Whether .venv can be installed into: it has a Python that is new enough, and pip or uv.
WHOLE = $(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
 && { test -x $(VENV)/bin/uv || $(PY) -m pip --version >/dev/null 2>&1; }

# uv installs the three gigabytes in a fifth of pip's time; where pip cannot get uv, pip does it itself.
define install
	@{ $(WHOLE); } || { $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Groundplan needs Python 3.11 or newer; name one with make PYTHON=python3.12")' \
	 && $(PYTHON) -m venv --clear $(VENV); }
	@test -x $(VENV)/bin/uv || $(PY) -m pip install --quiet uv==0.13.9 || echo "uv cannot be had, pip takes a few minutes"
	@if test -x $(VENV)/bin/uv; then $(VENV)/bin/uv pip install --python $(PY) --compile-bytecode -r $(1); \
	 else $(PY) -m pip install --quiet -r $(1); fi
	@touch $@
endef

$(VENV)/.app: requirements.txt
	$(call install,requirements.txt)

$(VENV)/.dev: requirements.txt requirements-dev.txt requirements-ray.txt requirements-mlflow.txt requirements-openvino.txt
	$(call install,requirements-dev.txt)
	@touch $(VENV)/.app

# Debian's Chromium (and libatomic, which Playwright's driver needs) where apt is at hand, Playwright's own otherwise;
# and Debian's GDAL, which opens what is exported.
chromium: $(VENV)/.dev
	@{ command -v chromium && command -v ogrinfo && $(PY) -m playwright --version; } >/dev/null 2>&1 \
	 || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -q >/dev/null \
	      && apt-get install -y -q --no-install-recommends chromium fonts-dejavu-core libatomic1 gdal-bin >/dev/null; } \
	 || $(PY) -m playwright install --with-deps chromium
