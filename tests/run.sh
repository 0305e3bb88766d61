#!/usr/bin/env bash
# All checks of a change: formatting, clippy, documentation, tests. Run it from anywhere: bash tests/run.sh
#
# GPU tests need an adapter. Where there is none, Mesa's software Vulkan is brought by the system's package manager (needs root); set
# ELMAN_TEST_CPU_ONLY=1 to leave the GPU tests out by name instead. Tests that read corpora or models which lie outside this repository
# (../shared, or the folder that ELMAN_SHARED names) and tests that need Python with numpy, torch, or onnx and onnxruntime, and safetensors, are
# left out by name where those are absent. The last line counts what ran.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*"; }

has_vulkan_driver() {
    compgen -G '/usr/share/vulkan/icd.d/*.json' >/dev/null || compgen -G '/etc/vulkan/icd.d/*.json' >/dev/null || [ -n "${VK_DRIVER_FILES:-}" ]
}

bring_adapter() {
    [ "$(uname -s)" = Linux ] || return 0
    [ -z "${ELMAN_TEST_CPU_ONLY:-}" ] || return 0
    if has_vulkan_driver && ldconfig -p | grep -q libvulkan.so.1; then return 0; fi
    say "no Vulkan driver: installing Mesa's software Vulkan with the system's package manager"
    if command -v apt-get >/dev/null; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq mesa-vulkan-drivers libvulkan1 >/dev/null
    elif command -v dnf >/dev/null; then
        dnf install -y -q mesa-vulkan-drivers vulkan-loader
    elif command -v pacman >/dev/null; then
        pacman -Sy --noconfirm vulkan-swrast vulkan-icd-loader
    else
        echo "install a Vulkan driver (Mesa's lavapipe will do), or set ELMAN_TEST_CPU_ONLY=1" >&2
        exit 1
    fi
}

bring_adapter

say "formatting"
cargo fmt --all -- --check

say "clippy, warnings are errors"
cargo clippy --locked --all-targets -- -D warnings

say "documentation, warnings are errors"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --lib --quiet

say "tests"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
cargo test --locked --no-fail-fast 2>&1 | tee "$log" || status=$?

# The sum of the runners' own counts.
awk '/^test result:/ { passed += $4; failed += $6; skipped += $8 }
     END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }' "$log"
exit "$status"
