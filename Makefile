# `make demo` and `make test` do all the set-up that they need; the second time that takes seconds.
SWIFT ?= swift
CONFIGURATION ?= release
export PKG_CONFIG_PATH := $(CURDIR)/.setup/pkgconfig:$(PKG_CONFIG_PATH)
PRODUCTS = $(shell $(SWIFT) build -c $(CONFIGURATION) --show-bin-path)

.PHONY: all demo test test-slow build setup format lint clean

all: build

setup:
	@python3 Scripts/set-up

build: setup
	@$(SWIFT) build -c $(CONFIGURATION) --product hone
	@python3 Scripts/set-up "$(PRODUCTS)"

# The main job on the example task that ships with the project.
demo: build
	@"$(PRODUCTS)/hone" fit Examples/support-tickets/tickets.csv --budget 3m

test: setup
	@$(SWIFT) build -c $(CONFIGURATION) --build-tests
	@python3 Scripts/set-up "$(PRODUCTS)"
	@OMP_WAIT_POLICY=passive $(SWIFT) test -c $(CONFIGURATION) --skip-build

# Also what takes long: kills at random instants, mutations in depth, parity with installed peers.
test-slow: export HONE_SLOW_TESTS = 1
test-slow: test

lint:
	@$(SWIFT) format lint --strict --recursive Sources Tests Package.swift

format:
	@$(SWIFT) format --in-place --recursive Sources Tests Package.swift

clean:
	@rm -rf .build
