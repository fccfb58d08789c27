# Two commands for a newcomer: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: setup demo test fast test-all lint fix results results-ranker results-known results-backtest bench students bench-gpu docs audit clean

setup: $(VENV)/.dev  ## the environment with everything that tests and lint need

$(VENV)/.base: pyproject.toml requirements.lock
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet -c requirements.lock --upgrade pip
	$(PIP) install --quiet --no-compile -c requirements.lock -e .
	touch $@

$(VENV)/.dev: $(VENV)/.base
	$(PIP) install --quiet --no-compile -c requirements.lock --group dev
	touch $@

demo: $(VENV)/.base  ## simulate a market and run everything on it
	$(BIN)/kestrel demo

test: $(VENV)/.dev  ## what CI runs: lint beside the tests, which wait now and then
	@$(MAKE) --no-print-directory -j 2 lint fast

fast: $(VENV)/.dev  ## the tests alone
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "not slow and not gpu and not live and not realweights"

test-all: lint  ## the slow proofs too
	$(BIN)/python -m pytest -q -m "not live and not realweights"

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

results: $(VENV)/.base  ## Qlib's CSI 500 table on the research pack, into docs/results.md; about an hour, goes on where it stopped
	$(BIN)/python examples/qlib_csi500.py

results-ranker: $(VENV)/.base  ## the ranker against all it has to beat, into docs/ranker.md; goes on where it stopped
	OMP_NUM_THREADS=1 $(BIN)/python -P examples/ranker_csi500.py

results-known: $(VENV)/.base  ## what models recover of planted alpha, into docs/ranker.md; two thirds of an hour on two cores
	OMP_NUM_THREADS=1 $(BIN)/python -P examples/ranker_known.py

TRAINING ?= $(lastword $(sort $(wildcard results/ranker/train-*)))
LAKE ?= results/ranker/lake

results-backtest: $(VENV)/.base  ## funds on the scores of a training on the pack, into docs/backtest.md; goes on where it stopped
	OMP_NUM_THREADS=1 $(BIN)/python -P examples/portfolios.py --training $(TRAINING) --lake $(LAKE)

bench: $(VENV)/.dev  ## every benchmark; each prints ratios measured in one run
	for script in windows factors sets judging session sentiment_runner; do $(BIN)/python -P benchmarks/$$script.py; done

students: $(VENV)/.dev  ## what students of sentiment reach on the research pack, what news foretells, and their speed
	for script in sentiment news throughput; do $(BIN)/python -P benchmarks/$$script.py; done

bench-gpu:  ## kernels and a whole training step, on a machine with a GPU and nothing but torch and triton
	PYTHONPATH=. $(PYTHON) benchmarks/kernels.py
	PYTHONPATH=. $(PYTHON) benchmarks/train_step.py

docs: $(VENV)/.base  ## the reference of commands and settings, docs/reference.md
	$(BIN)/python -P -m pipelines.reference docs/reference.md

audit: $(VENV)/.dev  ## known vulnerabilities where the network allows to ask (exit code 4 where it doesn't), and a bill of materials: build/sbom.json
	.ci/audit $(BIN)/python

clean:
	rm -rf $(VENV) demo dist build
