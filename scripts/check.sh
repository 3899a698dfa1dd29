#!/usr/bin/env bash
# Formatting, lints, documentation and dependency policy.
set -euo pipefail
cd "$(dirname "$0")/.."

install() { # tool; built from the registry when it is not there
    if ! cargo "$1" --version >/dev/null 2>&1; then
        echo "installing cargo-$1 …"
        cargo install --quiet --locked "cargo-$1"
    fi
}

echo "== fmt"
cargo fmt --all --check
echo "== clippy"
cargo clippy --quiet --workspace --all-targets -- -D warnings
echo "== doc"
RUSTDOCFLAGS="-D warnings" cargo doc --quiet --workspace --no-deps
echo "== deny"
install deny
cargo deny --log-level error check bans licenses sources
echo "== audit"
install audit
# The one exception is explained in deny.toml.
database=${TIDEGATE_ADVISORY_DB:-../shared/advisory-db}
if [ -d "$database" ]; then
    cargo audit --quiet --no-fetch --stale --db "$database" --ignore RUSTSEC-2025-0141
else
    cargo audit --quiet --ignore RUSTSEC-2025-0141 \
        || { echo "cargo audit failed, or there is no advisory database to be had; set TIDEGATE_ADVISORY_DB" >&2; exit 1; }
fi
