# `make demo` and `make test` need git, make, a C compiler and rustup; `setup` sees to cmake, which
# pingora's zlib is built with.

.PHONY: demo test corpus setup

demo: setup
	cargo run -- demo

test: setup
	cargo test

# Reads every real document; see docs/corpus.md.
corpus: setup
	cargo bench --profile corpus --bench corpus -- $(ARGS)

setup:
	@command -v cargo >/dev/null || { echo "cargo is missing; install Rust from https://rustup.rs" >&2; exit 1; }
	@command -v cmake >/dev/null && exit 0; \
	install=; before=; as=root; \
	if   command -v apt-get >/dev/null; then install="apt-get install -y cmake"; before="apt-get update"; \
	elif command -v dnf     >/dev/null; then install="dnf install -y cmake"; \
	elif command -v apk     >/dev/null; then install="apk add cmake"; \
	elif command -v pacman  >/dev/null; then install="pacman -S --noconfirm cmake"; \
	elif command -v brew    >/dev/null; then install="brew install cmake"; as=user; \
	else echo "cmake is missing; install it from https://cmake.org/download" >&2; exit 1; fi; \
	if [ "$$as" = user ] || [ "$$(id -u)" = 0 ]; then sudo=; \
	elif command -v sudo >/dev/null; then sudo=sudo; \
	else echo "cmake is missing; as root, run: $$install" >&2; exit 1; fi; \
	echo "installing cmake: $$sudo $$install" >&2; \
	if [ -n "$$before" ]; then $$sudo $$before; fi; \
	$$sudo $$install || { echo "cmake could not be installed; run: $$sudo $$install" >&2; exit 1; }
