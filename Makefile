# Two commands: `make demo` and `make test`. Each sets up .venv with what it needs.

PYTHON ?= python3
VENV := .venv
DEMO := work_dirs/demo

.PHONY: demo test

demo: $(VENV)/installed
	$(VENV)/bin/python tools/train.py configs/kmcl_tresnet_m_digits.py --work-dir $(DEMO)
	$(VENV)/bin/python tools/show_predictions.py configs/kmcl_tresnet_m_digits.py \
	    "$$(ls -t $(DEMO)/best_*.pth | head -n 1)" --out $(DEMO)/predictions.png

test: $(VENV)/installed
	$(VENV)/bin/python -m pytest

$(VENV)/installed: setup.py
	@echo "Setting up $(VENV) with torch and MMPretrain: some minutes, once."
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --editable ".[host,demo,test]"
	touch $@
