# `make demo` and `make test` do all the set-up that they need; the second time that takes seconds.
SHELL = /bin/bash
SWIFT ?= swift
export PKG_CONFIG_PATH := $(CURDIR)/.setup/pkgconfig:$(PKG_CONFIG_PATH)
RELEASE = $(shell $(SWIFT) build -c release --show-bin-path)
DEBUG = $(shell $(SWIFT) build --show-bin-path)

.PHONY: all demo test test-slow build setup format lint bench clean

all: build

setup:
	@python3 Scripts/set-up

build: setup
	@$(SWIFT) build -c release --product hone
	@python3 Scripts/set-up "$(RELEASE)"

# The main job on the example task that ships with the project.
demo: build
	@"$(RELEASE)/hone" fit Examples/support-tickets/tickets.csv --budget 90s

# TEST="--filter NAME" runs some of them. Tests look inside the modules, so they are built for debugging; trapping arithmetic shows
# itself there too. Kernels in C++ are optimised all the same: they are a sixth of the suite's time otherwise. What failed stands in
# between hundreds of lines, so it is said once more at the end.
test: setup
	@$(SWIFT) build --build-tests -Xcxx -O1
	@python3 Scripts/set-up "$(DEBUG)"
	@set -o pipefail; OMP_WAIT_POLICY=passive $(SWIFT) test --skip-build $(TEST) 2>&1 | tee .build/test.log \
		|| { echo "What failed:"; grep -E -A 3 "recorded an issue|^.. *Fatal error" .build/test.log; exit 1; }

# Also what takes long: kills at random instants, mutations in depth, parity with installed peers.
test-slow: export HONE_SLOW_TESTS = 1
test-slow: test

lint:
	@$(SWIFT) format lint --strict --recursive Sources Tests Benchmarks/Sources Package.swift Benchmarks/Package.swift

format:
	@$(SWIFT) format --in-place --recursive Sources Tests Benchmarks/Sources Package.swift Benchmarks/Package.swift

# Hone against its peers; NAME=... for one. Needs the peers' Python environment, see Benchmarks/run.py.
bench: build
	@python3 Benchmarks/run.py $(NAME) $(BENCH)

clean:
	@rm -rf .build
