# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Each command does its own set-up. Reusable things lie in LIFEBOAT_CACHE (default ~/.cache/lifeboat), results under build/.
PYTHON ?= python3
# Of the lab: tests/lab/versions.py says which there are, and which is the usual one.
export LIFEBOAT_KUBERNETES := $(or $(KUBERNETES),$(LIFEBOAT_KUBERNETES))
INSIDE := $(PYTHON) -m tests.environment run

.DEFAULT_GOAL := help
.PHONY: help test test-all gates unit drill bench lab env lock clean
MAKEFLAGS += --no-print-directory

help: ## Show the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-8s %s\n", $$1, $$2 }' Makefile

test: ## Run all tests; ARGS="--suite unit -k name" for some of them
	@$(PYTHON) -m tests.run $(ARGS)

test-all: ## Run everything, hours: what test leaves out (caasp) too
	@$(PYTHON) -m tests.run --all $(ARGS)

gates: ## Run every static gate; ARGS="-k name" for some of them
	@$(PYTHON) -m tests.run --suite gates $(ARGS)

unit: ## Run the unit tests; ARGS="-k name" for some of them
	@$(PYTHON) -m tests.run --suite unit $(ARGS)

drill: ## Break a lab cluster and bring it back: SCENARIO=bomb LOCATION=directory|s3 TOPOLOGY=ha TRAITS=real KUBERNETES=1.37
	@$(INSIDE) python -m tests.drill $(if $(SCENARIO),--scenario $(SCENARIO)) $(if $(LOCATION),--location $(LOCATION)) \
		$(if $(TOPOLOGY),--topology $(TOPOLOGY)) $(if $(TRAITS),--traits $(TRAITS)) $(ARGS)

bench: ## Measure against the bare tools; writes build/bench.json
	@$(INSIDE) python -m tests.benchmarks $(ARGS)

lab: ## The lab's own command line: ARGS="up ha"
	@$(PYTHON) -m tests.environment packages
	@$(PYTHON) -m tests.lab $(ARGS)

env: ## Make the environment and print its directory
	@$(PYTHON) -m tests.environment prepare

lock: ## Pin the closure of requirements/*.in again
	@$(PYTHON) -m tests.environment lock

clean: ## Remove what tests and builds wrote (not the cache, not running labs)
	@rm -rf build/collections build/drill build/test build/bench.json
