#!/usr/bin/env bash
# Builds a Debian package with the program, its manual pages and its completions:
#
#     cargo install cargo-deb
#     bash packaging/deb.sh
#
# cargo-deb prints the package's path. Cargo.toml lists the package's files.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release --locked
files=target/packaging
rm -rf "$files"
mkdir -p "$files/completions"
program=target/release/elman
"$program" man --quiet --out "$files/man"
gzip -9 -n "$files"/man/*.1
"$program" completions bash >"$files/completions/elman"
"$program" completions zsh >"$files/completions/_elman"
"$program" completions fish >"$files/completions/elman.fish"
cargo deb --no-build --locked
