# Two commands on a fresh machine (Python 3.11 or newer, pip, make, a C compiler):
#   make run    sets everything up and runs the main job on the embedded default
#   make test   sets everything up and passes the tests
VENV ?= .venv
PYTHON ?= python3
BIN = $(VENV)/bin

.PHONY: run test lint docs nightly embedded-results upstream-check bench update-constraints soak

run: $(VENV)/.installed
	$(BIN)/harness run --suite full

test: $(VENV)/.installed
	$(BIN)/python -m pytest -q

# Exit code of the gate (0 GO, 1 NO-GO, 2 INCONCLUSIVE, 3 BROKEN) in runs/nightly/exit-code; make itself says 2 for any.
nightly: $(VENV)/.installed
	@mkdir -p runs/nightly
	@BIN=$(BIN) results/nightly.sh runs/nightly; code=$$?; echo $$code > runs/nightly/exit-code; exit $$code

# The embedded recipe with 3 seeds and all controls into results/embedded (about 25 core-minutes; resumable).
embedded-results: $(VENV)/.installed
	$(BIN)/python results/make_embedded.py $(ARGS)

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/bandit -q -c pyproject.toml -r harness trainers tasks results

# Kills and other faults, at length (some minutes of one core); the quick versions are in the tests.
soak: $(VENV)/.installed
	$(BIN)/python benchmarks/soak.py > benchmarks/results/faults.md

# The documentation as a site in site/; a warning is an error.
docs: $(VENV)/.docs-installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# Scores the same responses with the real lmms-eval and VLMEvalKit and with ours (needs 14 GB and, once, 20 minutes);
# ARGS=--latest takes their newest versions.
upstream-check: $(VENV)/.installed
	$(BIN)/python upstream/check.py $(ARGS)

# Speed beside lmms-eval and VLMEvalKit, in benchmarks/results/peers.md and the tables beside it (needs 14 GB and, once,
# 20 minutes to install the peers; then about an hour of one core). ARGS="stages memory" measures only these sections
# (ARGS=--help lists them). BENCH_BESIDE is what the tables say of other work on the machine (default: none).
# MASTERS_SHARED names a folder with real items; without it mini ones are used.
bench: $(VENV)/.installed
	$(BIN)/python benchmarks/peers/all.py $(ARGS)

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[test]'
	touch $@

$(VENV)/.docs-installed: $(VENV)/.installed
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[docs]'
	touch $@

# Pin what this environment holds (after an upgrade that was tested).
update-constraints: $(VENV)/.installed
	$(BIN)/python -m pip freeze --exclude-editable > constraints.txt
