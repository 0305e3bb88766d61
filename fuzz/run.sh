#!/usr/bin/env bash
# Fuzzes the readers of files: see usage() below, or bash fuzz/run.sh --help.
set -euo pipefail
cd "$(dirname "$0")"

usage() {
    cat <<'TEXT'
Usage: bash fuzz/run.sh [SECONDS [TARGET…]]

Builds the fuzz targets and runs each of them, or those that are named, for SECONDS (default: 600).
Prints a line for each target; the exit status is 1 if an input made a reader do what it may not do.
Such inputs are in fuzz/artifacts/TARGET; the messages are in fuzz/artifacts/TARGET.log. Needs Linux on
x86-64, a C++ compiler and stable Rust.

A finding becomes a test: copy the input to fuzz/seeds/TARGET/finding-NAME.
TEXT
}

all=(checkpoint tensors runs text prepared ngram lists rnnlm flags)
case ${1:-} in
    --help | -h)
        usage
        exit
        ;;
esac
seconds=${1:-600}
[[ $seconds =~ ^[0-9]+$ ]] || {
    echo "fuzz/run.sh: $seconds is not a number of seconds" >&2
    exit 2
}
targets=("${@:2}")
[ ${#targets[@]} -gt 0 ] || targets=("${all[@]}")

triple=x86_64-unknown-linux-gnu
RUSTC_WRAPPER=$PWD/rustc.sh cargo build --locked --quiet --target $triple
program=${CARGO_TARGET_DIR:-target}/$triple/debug/elman-fuzz

# In memory where possible.
[ -d /dev/shm ] && parent=/dev/shm || parent=${TMPDIR:-/tmp}
directory=$(mktemp -d "$parent/elman-fuzz-XXXXXX")
trap 'rm -rf "$directory"' EXIT
export TMPDIR=$directory RAYON_NUM_THREADS=1

status=0
for target in "${targets[@]}"; do
    artifacts=$PWD/artifacts/$target
    log=$PWD/artifacts/$target.log
    corpus=$PWD/corpus/$target
    mkdir -p "$artifacts" "$corpus"
    dictionary=()
    [ ! -f "dictionaries/$target.dict" ] || dictionary=(-dict="dictionaries/$target.dict")
    ended=0
    ELMAN_FUZZ_TARGET=$target "$program" -max_total_time="$seconds" -timeout=20 \
        -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$artifacts/" \
        "${dictionary[@]}" "$corpus" "seeds/$target" >"$log" 2>&1 || ended=$?
    awk -v target="$target" -v ended="$ended" '
        /^stat::number_of_executed_units:/ { executions = $2 }
        /^stat::average_exec_per_sec:/ { rate = $2 }
        / cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") coverage = $(i + 1) }
        END {
            found = ended == 0 ? "no finding" : "FINDING"
            printf "%s: %d executions, %d/s, %d edges covered, %s\n", target, executions, rate,
                coverage, found
        }' "$log"
    [ "$ended" = 0 ] || status=1
    rm -rf "${directory:?}"/*
done
exit $status
