# `make demo` shows the library at work, `make test` runs all tests; both do all their own set-up.

CARGO ?= cargo
# The backends in the addon and the library: cargo features; `full` is all of them.
FEATURES ?= full
ALL = --release --workspace --features full

.PHONY: help demo test test-everything test-packages simulate simulate-mutations quick bench ctl node library install packages lint docs clean

help:
	@echo 'make demo    a real deepstream server with our cache and storage, step by step'
	@echo 'make test    all tests; docs/testing.md says what they are and how long they take'
	@echo 'make test-everything'
	@echo '             the same with every promise against every backend in every language, for a release'
	@echo 'make simulate'
	@echo '             the engine in a made-up world and in virtual time; SEEDS, FIRST_SEED, SEED: docs/simulation.md'
	@echo 'make simulate-mutations'
	@echo '             that the simulation finds an engine that is wrong'
	@echo 'make quick   formatting, lints, unit tests and the promises on memory and SQLite: no servers'
	@echo 'make lint    formatting and clippy'
	@echo 'make bench   measure against the JavaScript connectors; tables and plots in target/bench'
	@echo 'make node    build the Node.js addon, so that require("./bindings/node") works'
	@echo 'make ctl     the program connectorctl: docs/connectorctl.md'
	@echo 'make library the shared library for C, C++ and Python, under the name that programs ask for'
	@echo 'make install PREFIX=/usr/local DESTDIR='
	@echo '             what "make library" built, its header, pkg-config file and CMake package: docs/install.md'
	@echo 'make packages'
	@echo '             for npm, pip, C and C++, Debian and cargo, to run on older systems, too; in target/packages'
	@echo 'make test-packages'
	@echo '             those, installed by each package manager that is here, and used'
	@echo 'make docs    the Rust documentation'
	@echo 'make clean   remove what was built'

node:
	@tests/setup tools
	FEATURES=$(FEATURES) bindings/node/build

ctl:
	$(CARGO) build $(ALL) --bin connectorctl

library:
	$(CARGO) build --release --features $(FEATURES)
	ln -sf libdeepstream_connector.so target/release/libdeepstream_connector.so.0

# As variables of make or of the environment.
export PREFIX DESTDIR LIBDIR INCLUDEDIR MANDIR DOCDIR

install:
	@BUILT=$${BUILT:-$${CARGO_TARGET_DIR:-target}/release} packaging/c/install

packages:
	@packaging/all

test-packages:
	@tests/packages/run all

demo:
	@tests/setup tools
	@demo/run

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(ALL) --all-targets --quiet -- -D warnings

docs:
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc $(ALL) --no-deps --quiet

quick:
	@tests/run quick

test:
	@tests/run all

test-everything:
	@tests/run everything

# As variables of make or of the environment.
export SEEDS FIRST_SEED SEED

simulate:
	@$(CARGO) build --release --quiet -p deepstream-connector-simulation
	@$${CARGO_TARGET_DIR:-target}/release/simulate

simulate-mutations:
	@simulation/mutate

bench:
	@tests/setup tools
	@tests/setup servers
	$(MAKE) node
	bench/run

clean:
	$(CARGO) clean
	rm -f bindings/node/deepstream-connector.node
