#!/bin/sh
# The compiler that cargo starts for the fuzz targets (RUSTC_WRAPPER): adds libFuzzer's counters and
# traced comparisons to Elman and to the crates that read files for it. Other crates, such as those
# of the GPU, keep none: libFuzzer scans all counters after every execution.
set -eu
name=
is_target=
previous=
for argument in "$@"; do
    case $previous in
        --crate-name) name=$argument ;;
        --target) is_target=1 ;;
    esac
    previous=$argument
done
# What runs in the compiler, such as macros, is not linked with libFuzzer.
[ -n "$is_target" ] || exec "$@"
case $name in
    elman | elman_fuzz | safetensors | serde | serde_core | serde_json | toml | toml_* | winnow | \
        tokenizers | flate2 | miniz_oxide | ruzstd | fancy_regex) ;;
    *) exec "$@" ;;
esac
exec "$@" -C passes=sancov-module \
    -C llvm-args=-sanitizer-coverage-level=4 \
    -C llvm-args=-sanitizer-coverage-inline-8bit-counters \
    -C llvm-args=-sanitizer-coverage-pc-table \
    -C llvm-args=-sanitizer-coverage-trace-compares
