# What people and CI type. Needs Rust, make and root; everything else is installed where it is missing.

CARGO ?= cargo

.PHONY: help build demo test test-kernels check lint format doc bench reachability picture clean

help: ## What there is
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

build: ## The program, as people run it
	$(CARGO) build --release --locked --package linkspan

demo: ## Real packets on a private host, in half a minute
	@scripts/install-test-tools demo
	$(CARGO) build --release --locked --package linkspan
	@demo/demo target/release/linkspan

test: ## Every test, in private hosts
	@scripts/install-test-tools
	@scripts/test

test-kernels: ## Some of them on Debian's stock kernel, in a virtual machine
	@scripts/test-kernels

check: lint ## Format, lints, rules of the repository, licences and advisories
	$(CARGO) xtask check
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny --all-features check; else echo 'cargo-deny is not installed: licences and advisories are not checked'; fi

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

format: ## Formats the sources
	$(CARGO) fmt --all

doc: ## The libraries' documentation
	$(CARGO) doc --workspace --no-deps --locked

reachability: ## The page that says who reaches whom, from a live run
	@scripts/install-test-tools
	LINKSPAN_UPDATE=1 $(CARGO) nextest run --package linkspan matrix::

bench: ## The figures that the documents quote
	@scripts/install-test-tools
	$(CARGO) build --release --locked --package linkspan --package linkspan-bench
	@target/release/linkspan-bench

picture: ## The picture in README.md, from a live run
	$(CARGO) build --locked --package linkspan
	@demo/picture target/debug/linkspan > docs/picture.svg

clean: ## What was built
	$(CARGO) clean
