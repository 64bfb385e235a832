# What a person or CI wants of this tree, as words. The work is done in lab/setup, so that it can be read as a program.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup packagers demo lab deb test test-qemu check bench proto lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Debian packages, locked Python packages, Envoy; quick the second time
	@lab/setup/setup.sh

packagers: # and what it takes to make a package
	@lab/setup/setup.sh packaging

demo: setup ## plays the documents' story; KEEP=1 leaves the lab standing, ISTIO_FILTERS=1 sends Istio's own filters
	@.venv/bin/lab demo $(if $(KEEP),--keep) $(if $(ISTIO_FILTERS),--istio-filters)

lab: ## control plane, VM and client as Debian machines, the package installed; lab down takes them away
	@lab/setup/setup.sh packaging machines
	@packaging/deb/build.sh
	@.venv/bin/lab up --machines

deb: packagers ## dist/istio-agent_VERSION_amd64.deb
	@packaging/deb/build.sh

test: ## everything, as CI does, as root
	@lab/setup/setup.sh packaging machines scripts browser
	@lab/setup/test.sh format lint types unit unit-lab package flow netns scenarios stories system

test-qemu: ## the story on Debian's own kernel, emulated: some minutes, as root; not part of test
	@lab/setup/setup.sh packaging machines qemu
	@LOGS=.build/test-qemu lab/setup/test.sh qemu

check: ## under a minute: format, lint, types, unit and architecture tests
	@LOGS=.build/check lab/setup/test.sh format lint types unit unit-lab

bench: setup ## start, memory, pushes through the agent, the lab under load
	@.venv/bin/python -m bench

proto: ## generates vmagent/_pb and lab/controlplane/_pb from their .proto files
	@lab/setup/proto.sh

lock: ## writes requirements/*.lock anew; UPGRADE=1 takes newer versions
	@UPGRADE=$(UPGRADE) lab/setup/lock.sh

clean: ## takes away what setup made here, and nothing from the machine
	rm -rf .build .venv dist .mypy_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
