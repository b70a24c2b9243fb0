# `make up` and `make test` do everything on a machine that has only Python 3.11, make and a compiler.
.PHONY: up test check packages prove bench format demo clean ebpf
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What neither needs a machine of its own nor takes long: two at a time. The kernel's audit can only be tested by one.
QUICK := not root and not browser and not slow
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

help:  ## what there is to make
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

$(BIN)/tocsin: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[server]'
	@touch $@

$(VENV)/dev: $(BIN)/tocsin
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

# Apart from the rest: chDB brings pandas, which pyarrow would load into all that is tested.
$(VENV)/dialects/ready: $(VENV)/dev
	$(PYTHON) -m venv $(VENV)/dialects
	$(VENV)/dialects/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/dialects/bin/python -m pip install --quiet --group dialects
	@touch $@

MACHINE := $(shell uname -m)
BPF_SOURCE := src/tocsin/agent/bpf
BPF_OBJECT := src/tocsin/content/agent/sensor-$(MACHINE).bpf.o
BPF_ARCH := $(if $(filter aarch64,$(MACHINE)),arm64,x86)

$(BPF_OBJECT): $(BPF_SOURCE)/sensor.bpf.c $(BPF_SOURCE)/kernel.h
	clang -O2 -g -Wall -Werror -target bpf -D__TARGET_ARCH_$(BPF_ARCH) -c $< -o $@

ebpf: $(BPF_OBJECT)  ## build the eBPF sensor (needs clang and libbpf's headers: apt install clang libbpf-dev)

up: $(BIN)/tocsin  ## install, start everything on this machine, print the URL and the first-login token
	$(BIN)/tocsin up

demo: $(BIN)/tocsin  ## replay a captured intrusion and watch the alerts arrive
	$(BIN)/tocsin demo

check: $(VENV)/dev  ## lint, types, import contracts, unit tests (under 3 minutes)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest -q -n 2 -m "$(QUICK)"

test: $(VENV)/dialects/ready  ## everything, on the real kernel and in a real browser
	@sh tests/need.sh
	@if command -v clang >/dev/null; then $(MAKE) --no-print-directory ebpf; fi
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest -n 2 -m "$(QUICK)"
	$(BIN)/pytest -m "not ($(QUICK))"

packages:  ## the agent as deb and rpm, with the Python that it needs: build/packages
	packaging/build.sh

prove: $(VENV)/dialects/ready  ## the long proofs and all benchmarks; results go to docs/results
	@sh tests/need.sh
	$(BIN)/python benchmarks/prove.py

format: $(VENV)/dev  ## put the code in form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove what was installed here
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
