# What can be done here: `make` tells.  Everything sets itself up first, into .venv and .lab.

# Arguments for what is run: `make demo ARGS=--once`, `make test ARGS="tests/net -k tls"`.
ARGS =

# Any Python from 3.11 on; PYTHON=... names another.
PYTHON := $(shell for p in python3.11 python3 python3.14 python3.13 python3.12; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup lab demo test test-system check lint types contracts clean

help:
	@echo 'make demo     a mail server, a bad line, a node and a mail program at work'
	@echo '              (ARGS=--once: end by itself with a verdict)'
	@echo 'make test     the tests, against a real Dovecot among others (ARGS="tests/net -k tls": some)'
	@echo 'make test-system  the whole program with real mail programs and servers; slower'
	@echo 'make check    what every change has to pass: lint, types, layers, tests'
	@echo 'make setup    the virtual environment only, .venv'
	@echo 'make clean    remove what was set up and made'

setup:
	@test -n "$(PYTHON)" || { echo 'mailferry needs Python 3.11 or later; on Debian: apt-get install python3' >&2; exit 1; }
	@$(PYTHON) tools/set_up.py

lab: setup
	@$(BIN)/python -m tests.lab.programs

demo: setup
	@$(BIN)/mailferry demo $(ARGS)

# The tests run in two processes, a file's tests in one of them: they share what is costly to make.
# The closing line says how long it took.
test: setup lab
	@$(BIN)/pytest $(or $(ARGS),-n 2 --dist loadfile -m "not system")

# The whole program, real mail programs, real servers: one after the other, as they want the machine.
test-system: setup lab
	@$(BIN)/pytest $(or $(ARGS),-m system)

lint: setup
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: setup
	@$(BIN)/mypy

contracts: setup
	@$(BIN)/lint-imports

check: lint types contracts test

clean:
	rm -rf .venv .lab .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
