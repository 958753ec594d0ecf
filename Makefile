# Everything a person or the CI does with this project. `make` alone lists it.
PY := .venv/bin/python
JOBS ?= auto

.DEFAULT_GOAL := help
.PHONY: help install demo test check format bench fuzz fidelity lock clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/.installed ## a virtual environment in .venv with the package and its development extras

.venv/.installed: pyproject.toml requirements.lock tools/bootstrap.sh
	sh tools/bootstrap.sh
	@touch $@

demo: install ## a tunnel moves while packets flow; recordings replayed; three ways to move
	@.venv/bin/xfrm demo

test: install ## every test
	$(PY) -m pytest -n $(JOBS) -q

check: install ## formatter, linter, mypy strict, shape of the code
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	$(PY) -m pytest -q tests/shape

format: install ## rewrite the sources as the formatter wants them
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

bench: install ## benchmarks (ratios in one run: machines are noisy)
	$(PY) -m pytest -q benchmarks --benchmark-only --benchmark-disable-gc --benchmark-columns=min,median,rounds --benchmark-sort=name

SECONDS ?= 60
SEED ?= 1
fuzz: install ## random messages to Linux 7.2 and to the engine (SECONDS=60 SEED=1)
	.venv/bin/xfrm lab fuzz --seconds $(SECONDS) --seed $(SEED)

fidelity: install ## docs/fidelity.md: every conformance case on every lane
	$(PY) tools/fidelity.py

lock: install ## renew requirements.lock from pyproject.toml
	$(PY) -m pip -q install 'uv>=0.5,<1'
	$(PY) -m uv -q pip compile --universal --python-version 3.11 --all-extras --no-header --no-emit-package pyxfrm --no-annotate -o requirements.lock pyproject.toml

clean: ## remove what the targets above made
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks
