# `make demo` and `make test` set up all they need in .venv; python3, make and git suffice.
.PHONY: help install demo test test-long test-slow test-properties test-web try check docs fuzz format bench bench-peers bench-sure bench-small lock sbom pets dist clean
.DEFAULT_GOAL := help

BIN := .venv/bin
UV := $(BIN)/uv
# The tests start hundreds of processes, and none should compile our modules again.
PYTEST := PYTHONDONTWRITEBYTECODE= OPENBLAS_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --dist worksteal
# Compiled once, here: else each process may compile all that it imports, torch for one.
PIP := $(UV) pip install --quiet --compile-bytecode --python $(BIN)/python

# Every file's digest has to be in the lock: of what is installed, and of what builds the package.
define install
$(PIP) --require-hashes --requirements pyproject.toml --extra $(1) --constraint requirements.lock
$(PIP) --no-deps --build-constraints requirements.lock --editable .
endef

help:
	@echo "make demo     the main job on drawn pictures, offline, without torch"
	@echo "make test     the tests, without those that take seconds each"
	@echo "make test-long    those; CI runs both"
	@echo "make test-properties   what holds for any input, on 1,000 of them each (EXAMPLES=100000)"
	@echo "make test-web the exported page in Chromium and Firefox; installs two npm packages into .venv/npm"
	@echo "make try      pets as a page that answers in the browser, into dist/try"
	@echo "make check    format, lint, types, generated docs"
	@echo "make docs     the site, into site/"
	@echo "make fuzz     ten minutes of hostile inputs at every door (SECONDS=600, DOORS=)"
	@echo "make bench    the table of docs/experiments.md, on real photos (FURSURE_DATA)"
	@echo "make bench-peers  other libraries at the same job, each in its own environment"
	@echo "make bench-sure   strangers, risks and answers, on the same photos"
	@echo "make bench-small  do figures from few photos hold? on the same photos"
	@echo "make sbom     what the extra all installs, as CycloneDX, into dist/"
	@echo "make dist     wheel and sdist, checked, into dist/"
	@echo "also: install test-slow format lock lite pets clean"

$(UV):
	python3 -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check uv

.venv/train-installed: $(UV) pyproject.toml requirements.lock
	$(call install,train)
	@touch $@

.venv/dev-installed: $(UV) pyproject.toml requirements.lock
	$(call install,dev)
	@touch $@ .venv/train-installed

install: .venv/dev-installed

demo: .venv/train-installed
	$(BIN)/fursure demo --into demo

test: .venv/dev-installed
	$(PYTEST) -m "not slow and not long"

test-long: .venv/dev-installed
	$(PYTEST) -m "long and not slow"

test-slow: .venv/dev-installed
	$(BIN)/pytest -m slow

# Round trips and invariants, each on so many examples of Hypothesis.
EXAMPLES ?= 1000
PROPERTIES := tests/test_recipes.py tests/test_dataset_manifest.py tests/test_splitting_split.py \
  tests/test_photos_preprocess.py tests/test_metrics_classification.py

test-properties: .venv/dev-installed
	FURSURE_EXAMPLES=$(EXAMPLES) $(PYTEST) $(PROPERTIES) -m "not slow"

# What the exported page runs on, and what checks that everyone can use it; neither is ours to ship.
NPM_PACKAGES := onnxruntime-web@1.30.0 axe-core@4.14.1

.venv/npm-installed: .venv/dev-installed
	npm install --prefix .venv/npm --no-save --no-audit --no-fund --ignore-scripts $(NPM_PACKAGES)
	@touch $@

test-web: .venv/npm-installed
	FURSURE_NPM=.venv/npm $(BIN)/pytest --numprocesses 0 tests/test_exporting.py \
	  tests/test_exporting_pixels.py tests/test_exporting_plain.py tests/test_exporting_web.py

# `pets` as a page, to look at or to put on a host; nothing of it is committed.
try: .venv/train-installed
	rm -rf dist/try
	$(BIN)/fursure export pets --to web -o dist/try

check: .venv/dev-installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python scripts/cli_reference.py --check
	$(BIN)/python scripts/recipe_reference.py --check
	$(BIN)/python -m scripts.licences --check

# Into site/, without a network; any warning is an error.
docs: .venv/dev-installed
	$(BIN)/python -m scripts.site_pages site-pages
	$(BIN)/zensical build --clean --strict

# DOORS="decode-png http" tries those alone; what is found lies in found/, and is a failure.
SECONDS ?= 600
fuzz: .venv/dev-installed
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m fuzzing --seconds $(SECONDS) $(DOORS)

format: .venv/dev-installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python scripts/cli_reference.py
	$(BIN)/python scripts/recipe_reference.py
	$(BIN)/python -m scripts.licences

bench: .venv/dev-installed
	$(BIN)/python -m benchmarks.main_job

# PEERS="timm fastai --photos 1000 --keep .peers" measures those alone.
bench-peers: .venv/dev-installed
	$(BIN)/python -m benchmarks.peers $(PEERS)

# BUNDLES="a.fursure b.fursure" measures those; without any, two are trained first.
bench-sure: .venv/dev-installed
	$(BIN)/python -m benchmarks.strangers $(BUNDLES)

bench-small: .venv/dev-installed
	$(BIN)/python -m benchmarks.small_data

# The lock carries every package's hashes and no index address, so any mirror serves it.
LOCKED := --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --quiet

lock: $(UV)
	$(UV) pip compile pyproject.toml --all-extras --group build --group portable --group release --group sbom --upgrade $(LOCKED) \
	  --output-file requirements.lock

# The same versions and digests, without what only the tests need.
sbom: .venv/dev-installed
	@mkdir -p dist
	$(UV) pip compile pyproject.toml --extra all --constraint requirements.lock $(LOCKED) \
	  --output-file dist/all.lock
	$(UV) tool run --quiet --constraints requirements.lock --from cyclonedx-bom cyclonedx-py \
	  requirements dist/all.lock --pyproject pyproject.toml --output-reproducible \
	  --output-file dist/fursure.cdx.json

lite: .venv/dev-installed
	$(BIN)/python -m scripts.build_lite

pets: .venv/dev-installed
	$(BIN)/python -m scripts.build_pets

# Wheel and sdist, byte for byte the same wherever they are built.
dist: $(UV)
	rm -f dist/fursure-*.whl dist/fursure-*.tar.gz
	$(UV) build --quiet --build-constraints requirements.lock --out-dir dist
	$(UV) tool run --quiet --constraints requirements.lock twine check --strict dist/fursure-*.*

clean:
	rm -rf .venv* demo dist site site-pages .mypy_cache .pytest_cache .ruff_cache
