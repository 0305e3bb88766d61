#!/usr/bin/env bash
# Runs every check of a change: see usage() below, or bash tests/run.sh --help.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
    cat <<'TEXT'
Usage: bash tests/run.sh [--all] [--no-install]

Checks formatting, lints, documentation and the build without default features, and runs the tests.
Takes at most 15 minutes on two cores once the dependencies are built. The last line counts the
tests that passed, failed and were skipped; the exit status is 0 if nothing failed.

  --all         run the slow tests too
  --no-install  install nothing
  --help        print this text

GPU tests need an adapter. Where there is no Vulkan driver, Mesa's software driver is installed with
the system's package manager, which needs root. With --all, Vulkan's validation layer, Chromium and
Open MPI are installed in the same way, and Dawn, a second WGSL compiler, into target/dawn where there
is npm; tests that need them are skipped by name where they cannot be installed. With Open MPI, the
program is built with the feature mpi.

Environment:
  ELMAN_TEST_CPU_ONLY=1  skip the GPU tests
  ELMAN_TEST_SEED=N      seed of the tests with random input; a failing test prints it
  ELMAN_SHARED=DIR       corpora and models outside the repository (default: ../shared)
  ELMAN_PYTHON=PROGRAM   Python with numpy, safetensors, torch, onnx and onnxruntime
                         (default: python3)

Tests whose corpora or Python packages are missing are skipped by name.
TEXT
}

fail() {
    printf 'tests/run.sh: %s\n' "$*" >&2
    exit 2
}

install=1
for argument in "$@"; do
    case $argument in
        --all) export ELMAN_TEST_ALL=1 ;;
        --no-install) install= ;;
        --help | -h)
            usage
            exit
            ;;
        *) fail "unknown argument $argument; bash tests/run.sh --help lists the arguments" ;;
    esac
done

say() { printf '\n== %s\n' "$*"; }

has_vulkan_driver() {
    compgen -G '/usr/share/vulkan/icd.d/*.json' >/dev/null ||
        compgen -G '/etc/vulkan/icd.d/*.json' >/dev/null ||
        [ -n "${VK_DRIVER_FILES:-}" ]
}

# Installs packages, given their names in Debian, Fedora and Arch Linux.
install_packages() {
    local debian=$1 fedora=$2 arch=$3
    if command -v apt-get >/dev/null; then
        apt-get update -qq &&
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $debian >/dev/null
    elif command -v dnf >/dev/null; then
        dnf install -y -q $fedora
    elif command -v pacman >/dev/null; then
        pacman -Sy --noconfirm $arch
    else
        echo "no known package manager" >&2
        return 1
    fi
}

ensure_adapter() {
    [ "$(uname -s)" = Linux ] || return 0
    [ -z "${ELMAN_TEST_CPU_ONLY:-}" ] || return 0
    if has_vulkan_driver && ldconfig -p | grep -q libvulkan.so.1; then return 0; fi
    local hint="install a Vulkan driver and loader (Debian: apt-get install mesa-vulkan-drivers \
libvulkan1), or set ELMAN_TEST_CPU_ONLY=1 to skip the GPU tests"
    [ -n "$install" ] || fail "no Vulkan driver: $hint"
    say "no Vulkan driver: installing Mesa's software driver with the system's package manager"
    install_packages "mesa-vulkan-drivers libvulkan1" "mesa-vulkan-drivers vulkan-loader" \
        "vulkan-swrast vulkan-icd-loader" || fail "no Vulkan driver: $hint"
}

ensure_validation_layer() {
    [ "$(uname -s)" = Linux ] || return 0
    [ -z "${ELMAN_TEST_CPU_ONLY:-}" ] || return 0
    [ ! -e /usr/share/vulkan/explicit_layer.d/VkLayer_khronos_validation.json ] || return 0
    say "installing Vulkan's validation layer with the system's package manager"
    install_packages vulkan-validationlayers vulkan-validation-layers vulkan-validation-layers ||
        say "not installed: tests with Vulkan's validation layer are skipped"
}

ensure_browser() {
    [ "$(uname -s)" = Linux ] || return 0
    local name
    for name in chromium chromium-browser google-chrome; do
        if command -v "$name" >/dev/null; then return 0; fi
    done
    say "installing Chromium with the system's package manager"
    install_packages chromium chromium chromium ||
        say "not installed: the test of reports in a browser is skipped"
}

ensure_dawn() {
    command -v npm >/dev/null || return 0
    [ ! -e target/dawn/node_modules/webgpu ] || return 0
    say "installing Dawn with npm"
    mkdir -p target/dawn
    npm install --silent --no-save --ignore-scripts --prefix target/dawn webgpu@0.6.2 ||
        say "not installed: tests with Dawn are skipped"
}

ensure_mpi() {
    [ "$(uname -s)" = Linux ] || return 0
    if command -v mpicc >/dev/null && command -v mpirun >/dev/null; then return 0; fi
    say "installing Open MPI with the system's package manager"
    install_packages "libopenmpi-dev openmpi-bin libclang-dev" "openmpi-devel clang-devel" \
        "openmpi clang" || say "not installed: tests with MPI are skipped"
}

ensure_adapter
if [ -n "$install" ] && [ -n "${ELMAN_TEST_ALL:-}" ]; then
    ensure_validation_layer
    ensure_browser
    ensure_dawn
    ensure_mpi
fi

# One build for all tests: with MPI where it is installed and the slow tests run.
features=fault-injection
if [ -n "${ELMAN_TEST_ALL:-}" ] && command -v mpicc >/dev/null; then features+=,mpi; fi

say "formatting"
cargo fmt --all -- --check

say "clippy, warnings are errors"
cargo clippy --locked --all-targets --features "$features" -- -D warnings

say "clippy without default features"
cargo clippy --locked --no-default-features -- -D warnings

say "documentation, warnings are errors"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --lib --quiet

# Backtraces of panics only: otherwise the GPU's allocator takes one for each buffer.
export RUST_LIB_BACKTRACE=0

say "tests"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
# Unit tests, integration tests and documentation tests; builds the examples too.
cargo test --locked --features "$features" --no-fail-fast 2>&1 | tee "$log" || status=$?

# The sum of the counts of all test runners.
awk '/^test result:/ { passed += $4; failed += $6; skipped += $8 }
     END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }' "$log"
exit "$status"
