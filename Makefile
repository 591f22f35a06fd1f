# The one way to run everything; `make help` lists the targets.
SHELL := /bin/sh
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Stages start `python` and `accelerate`: they must be those of the environment.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Every stage is a process that loads torch and MLflow: without Python's cache of compiled modules it compiles some three
# thousand files first, which takes longer than the loading itself.
unexport PYTHONDONTWRITEBYTECODE
# The embedded stores speak to nobody.
export DVC_NO_ANALYTICS := true
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: help install lock repro retrain check format test test-slow clean

help:  ## List the targets
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/  \1|\2/p' Makefile | column -t -s '|'

install: $(STAMP)  ## Create .venv and install the locked dependencies and the project

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

lock:  ## Resolve the dependencies again (needs uv)
	uv pip compile pyproject.toml --extra dev --python-version 3.11 --output-file requirements.lock \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"
	uv pip compile deploy/mlflow/requirements.in --constraints requirements.lock --python-version 3.11 \
	  --output-file deploy/mlflow/requirements.txt --no-annotate --no-emit-index-url --no-emit-find-links \
	  --custom-compile-command "make lock"

data/raw.dvc:
	python -m dlfd_ops.data.synthetic_faces --root data/raw
	dvc add --quiet data/raw

repro: install data/raw.dvc  ## Run the whole pipeline on synthetic faces, from deletion requests to a model version
	dlfd-ops request import examples/synthetic/requests.csv
	dvc repro
	@python -m dlfd_ops.workflows.summary

retrain: install  ## Train the oracle without the forget list and compare
	dvc repro pipelines/benchmark/dvc.yaml:retrain
	dvc repro

check: install  ## Lint, format, import direction, types
	ruff check .
	ruff format --check .
	lint-imports
	mypy

format: install  ## Mend what the linter can
	ruff check --fix .
	ruff format .

test: check  ## All checks and the fast tests
	pytest -n 2 -m "not slow"

test-slow: install  ## Servers, browser, kill tests, all architectures
	pytest -n 2 --dist loadgroup -m slow

clean:  ## Remove the environment, prepared data, models and plots of the folder (DVC's cache and MLflow keep theirs)
	rm -rf $(VENV) data/prepared models/original models/unlearned models/retrained plots
