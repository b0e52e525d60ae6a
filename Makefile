# `make demo` and `make test`; `make lint` for style and types, `make format` to write the style, `make docs` for the
# site. Each sets up .venv with what it needs.

PYTHON ?= python3
VENV := .venv
DEMO := work_dirs/demo
CODE := kmcl_mm tools configs examples tests benchmarks conftest.py setup.py

.PHONY: demo test lint format docs

demo: $(VENV)/installed
	$(VENV)/bin/python tools/train.py configs/kmcl_tresnet_m_digits.py --work-dir $(DEMO)
	$(VENV)/bin/python tools/show_predictions.py configs/kmcl_tresnet_m_digits.py \
	    "$$(ls -t $(DEMO)/best_*.pth | head -n 1)" --out $(DEMO)/predictions.png
	$(VENV)/bin/python tools/report.py $(DEMO)

test: $(VENV)/installed
	$(VENV)/bin/python -m pytest

lint: $(VENV)/installed
	$(VENV)/bin/python -m ruff check $(CODE)
	$(VENV)/bin/python -m ruff format --check $(CODE)
	$(VENV)/bin/python -m mypy

format: $(VENV)/installed
	$(VENV)/bin/python -m ruff format $(CODE)

docs: $(VENV)/docs_installed
	$(VENV)/bin/sphinx-build -W --keep-going -n -q docs docs/_build/html
	@echo "The site: docs/_build/html/index.html"

$(VENV)/installed: setup.py
	@echo "Setting up $(VENV) with torch and MMPretrain: some minutes, once."
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --editable ".[host,demo,test,lint]"
	touch $@

$(VENV)/docs_installed: $(VENV)/installed
	$(VENV)/bin/python -m pip install --quiet --editable ".[docs]"
	touch $@
