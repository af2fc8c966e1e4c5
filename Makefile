# `make demo` shows the library at work, `make test` runs all tests; both do all their own set-up.

CARGO ?= cargo
# The backends in the addon and the library: cargo features; `full` is all of them.
FEATURES ?= full
ALL = --release --workspace --features full

.PHONY: help demo test quick bench node library lint docs clean

help:
	@echo 'make demo    a real deepstream server with our cache and storage, step by step'
	@echo 'make test    all tests'
	@echo 'make quick   formatting, lints, unit tests and the conformance suite on memory and SQLite'
	@echo 'make bench   measure against the JavaScript connectors; tables and plots in target/bench'
	@echo 'make node    build the Node.js addon, so that require("./bindings/node") works'
	@echo 'make library the shared library for C, C++ and Python, under the name that programs ask for'
	@echo 'make docs    the Rust documentation'

node:
	@tests/setup tools
	FEATURES=$(FEATURES) bindings/node/build

library:
	$(CARGO) build --release --features $(FEATURES)
	ln -sf libdeepstream_connector.so target/release/libdeepstream_connector.so.0

demo:
	@tests/setup tools
	@demo/run

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(ALL) --all-targets --quiet -- -D warnings

docs:
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc $(ALL) --no-deps --quiet

quick: lint node
	$(CARGO) test --release --features full --lib --quiet
	CONFORMANCE_BACKENDS=memory,sqlite $(CARGO) test --release --features full --test conformance

test:
	@tests/setup tools
	@tests/setup servers
	$(MAKE) lint docs
	FEATURES=full bindings/node/build --with-tests
	$(CARGO) test $(ALL)
	node --test bindings/node/test/
	tests/servers/selftest
	node --test tests/deepstream/
	node --test tests/demo.test.js

bench:
	@tests/setup tools
	@tests/setup servers
	$(MAKE) node
	bench/run

clean:
	$(CARGO) clean
	rm -f bindings/node/deepstream-connector.node
