# Every target sets up a fresh machine by itself: `make demo` and `make test` need only git, make, Python >= 3.10.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: demo test test-all check docs bench results gallery format clean
.DEFAULT_GOAL := demo

# torch first and alone: whatever is installed after it finds the pinned one in place.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "elman needs Python >= 3.10, $(PYTHON) is " + sys.version.split()[0])'
	@echo "Setting up $(VENV) with what pyproject.toml asks for: some minutes, once."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch numpy
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY)
	$(BIN)/elman demo

test: $(READY)
	$(BIN)/python -m pytest -n auto

test-all: $(READY)
	$(BIN)/python -m pytest -n auto -m 'slow or not slow'

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

# The site in site/, which can be read from the disk, all but its search; tests/docs runs what its pages show.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "Written: site/index.html. With its search: $(BIN)/python -m http.server -d site"

# Forty minutes on a machine that does nothing else; `make bench BENCH=--quick` for two minutes. Faster but wrong is no
# result, so the contract tests come first. The table also goes into the page about speed, where there is one.
bench: $(READY)
	$(BIN)/python -m pytest tests/contracts -q -k native
	$(BIN)/elman bench cpu --out docs/results $(patsubst %,--page %,$(wildcard docs/performance.md)) $(BENCH)
	$(if $(BENCH),,$(BIN)/python benchmarks/live.py --write)

# Every table of docs/results.md, measured again on the data in DATA: some three hours on one core that does nothing else.
DATA ?= ../shared/data
results: $(READY)
	$(BIN)/python benchmarks/m4.py $(DATA)/forecasting/m4 --seeds 0 1 2 --write
	for table in labels language texts anomalies memory; do $(BIN)/python benchmarks/$$table.py $(DATA) --write || exit; done

# Every page of docs/gallery, measured and drawn again: some minutes each. A script that makes none is what others share.
gallery: $(READY)
	for page in $$(grep -l __main__ gallery/*.py); do OMP_NUM_THREADS=1 $(BIN)/python $$page || exit; done

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis runs site
