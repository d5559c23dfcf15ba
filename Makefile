# Every task of the project by name. A newcomer needs two: `make repro` and `make test`. Each makes .venv first.

.DEFAULT_GOAL := help
.PHONY: help repro test check ui serve lock environment clean distclean

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONPATH := $(CURDIR)/src
export MLFLOW_DISABLE_TELEMETRY := true
export DVC_NO_ANALYTICS := 1

# Candidates for the interpreter; the first that is Python 3.11 is taken.
PYTHON ?= python3.11 python3 python
IS_311 := import sys; sys.exit(sys.version_info[:2] != (3, 11))
FOUND = $(firstword $(foreach name,$(PYTHON),$(shell $(name) -c '$(IS_311)' 2>/dev/null && echo $(name))))

# A .venv that is a link belongs to whoever made it, and is used as it is.
INSTALLED := $(if $(shell test -L .venv && echo linked),,.venv/.installed)

help: ## list these tasks
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

repro: $(INSTALLED) ## run the pipeline on the demo corpora, as far as it is out of date
	dvc repro
	@echo "The report: $(CURDIR)/reports/index.html"

test: $(INSTALLED) ## run all tests; PYTEST="-k leakage" passes arguments on
	pytest --numprocesses logical --maxprocesses 4 --dist worksteal $(PYTEST)

check: $(INSTALLED) ## run the linter, the formatter, the type checker and the spell checker
	ruff check
	ruff format --check
	mypy
	codespell

ui serve: export MLFLOW_TRACKING_URI ?= sqlite:///$(CURDIR)/mlflow.db

ui: $(INSTALLED) ## browse runs and registered models at localhost:5000
	mlflow ui --backend-store-uri "$(MLFLOW_TRACKING_URI)" --port 5000

serve: $(INSTALLED) ## serve the champion of a benchmark at localhost:5001: make serve BENCHMARK=gender-voxceleb1
	$(if $(BENCHMARK),,$(error name the benchmark: make serve BENCHMARK=gender-voxceleb1))
	mlflow models serve --model-uri "models:/$(BENCHMARK)@champion" --env-manager local --port 5001

lock: $(INSTALLED) ## bring requirements.lock in line with pyproject.toml; UV="--upgrade" takes newer versions
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--no-header --no-annotate --quiet $(UV) --output-file requirements.lock

environment: $(INSTALLED) ## make .venv from requirements.lock

.venv/.installed: requirements.lock pyproject.toml
	$(if $(FOUND),,$(error voxbench needs Python 3.11, not found as: $(PYTHON). Install it, or say make PYTHON=/path/to/python3.11))
	$(FOUND) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check $$(grep '^uv==' requirements.lock)
	.venv/bin/uv pip sync --python .venv/bin/python --compile-bytecode requirements.lock
	.venv/bin/uv pip install --python .venv/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

clean: ## remove what the pipeline made: outputs, the MLflow store, caches (not .venv, not corpora of your own)
	@# dvc.lock lists what stages wrote: after `outs:` of each stage, up to the next stage.
	@test ! -f dvc.lock || sed -n '/^    outs:/,/^  [^ ]/s/^    - path: //p' dvc.lock | xargs rm -rf
	rm -rf mlruns mlflow.db* .mlflow.lock .optuna .resume
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info
	find src tests -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## clean, and remove .venv and DVC's cache too
	rm -rf .venv .dvc/cache .dvc/tmp
