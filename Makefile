# Two commands matter: `make demo` and `make test`. Everything they need is put into .venv the first time.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
UV_VERSION := 0.13.9

# Quiet, and with one shell per recipe, so that a sentence is the last thing a person reads when something is missing.
MAKEFLAGS += --no-print-directory
.ONESHELL:
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo run test check bench clean

help:
	@echo "make demo     start Plimsoll with real demonstration data on http://127.0.0.1:8000 (PORT=… for another port)"
	@echo "make demo CHECK=1   carry the demonstration through to its end without serving, one line per step"
	@echo "make run      start Plimsoll without demonstration data"
	@echo "make test     every check and every test, browser tests included"
	@echo "make check    lint, format, types, architecture and migrations only"
	@echo "make bench    ratios against other tools"
	@echo "make clean    remove caches (not .venv, not your data)"

demo: .venv/runtime $(BIN)/plimsoll
	@$(BIN)/python -m deploy.run demo $(if $(filter-out 0,$(CHECK)),--check)

run: .venv/runtime $(BIN)/plimsoll
	@$(BIN)/python -m deploy.run run

check: .venv/development
	@$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python manage.py check --fail-level WARNING
	$(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run  # needs no database
	$(BIN)/python -m tests.checks.templates

test: .venv/development $(BIN)/plimsoll programs check
	@$(BIN)/python -m pytest $(if $(PYTEST),$(PYTEST),-n 2 --dist loadgroup)

bench: .venv/development
	@missed=0; for one in bench/*.py; do \
	  case $$one in */_*) ;; *) $(BIN)/python -m "$$(echo $${one%.py} | tr / .)" || missed=1 ;; esac; \
	done; exit $$missed

clean:
	@find . -path ./.venv -prune -o -type d -name __pycache__ -print0 | xargs -0 rm -rf
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# The tests drive an installed Chromium and an installed Redis, and have Go and Node verify the trail. Nothing is
# downloaded for them but the npm package that tests/interop/package.json names.
.PHONY: programs
programs:
	@lacking=
	[ -n "$${CHROMIUM:-}" ] && [ -x "$${CHROMIUM}" ] || command -v chromium chromium-browser google-chrome google-chrome-stable > /dev/null \
	  || lacking="chromium"
	command -v redis-server > /dev/null || lacking="$$lacking redis-server"
	command -v go > /dev/null || lacking="$$lacking golang-go"
	[ -d /usr/share/gocode/src/golang.org/x/mod/sumdb/tlog ] || lacking="$$lacking golang-golang-x-mod-dev"
	command -v node > /dev/null || lacking="$$lacking nodejs"
	command -v npm > /dev/null || lacking="$$lacking npm"
	if [ -n "$$lacking" ]; then
	  echo "The tests need what this machine lacks. Install it: apt-get install $$lacking (or set CHROMIUM=/path/to/a/browser)." >&2
	  exit 1
	fi

# The environment. The files are stamps: a target is made again only when what it was made from has changed.
# Compiled at once: a model in the sandbox sees a read-only environment and would compile the same libraries each time.
# uv does in seconds what pip does in minutes, but it does not read pip's configuration; where that matters, pip it is.
install = $(BIN)/uv pip install --quiet --system-certs --compile-bytecode --python $(BIN)/python --requirement $(1) \
  || $(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement $(1)

.venv/runtime: requirements.txt .venv/uv
	@echo "Installing what Plimsoll runs on (once)."
	$(call install,requirements.txt)
	touch $@

.venv/development: requirements-dev.txt .venv/uv
	@echo "Installing what Plimsoll and its tests need (once)."
	$(call install,requirements-dev.txt)
	touch $@

# The command line for people and pipelines: $(BIN)/plimsoll --help
$(BIN)/plimsoll: Makefile .venv/uv
	@printf '%s\n' "#!$(CURDIR)/$(BIN)/python" 'import sys' 'sys.path.insert(0, "$(CURDIR)")' \
	  'from web.cli.commands import plimsoll' 'plimsoll(prog_name="plimsoll")' > $@
	chmod 755 $@

.venv/uv:
	@if ! "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
	  echo "Plimsoll needs Python 3.11 or later; “$(or $(PYTHON),python3)” is not. Install it, or name it: make PYTHON=/path/to/python3.11" >&2
	  exit 1
	fi
	if ! "$(PYTHON)" -c 'import ensurepip, venv' 2> /dev/null; then
	  echo "This Python cannot make environments (module venv). Install it: apt-get install python3-venv" >&2
	  exit 1
	fi
	[ -x $(BIN)/python ] || "$(PYTHON)" -m venv .venv
	[ -x $(BIN)/uv ] || $(BIN)/python -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"
	touch $@
