#!/usr/bin/env bash
# Looks for what the build needs and says how to get what is missing.
set -euo pipefail

missing=0
need() { # command, what it is, how to get it
    if ! command -v "$1" >/dev/null 2>&1; then
        echo "missing: $2 ($1). $3" >&2
        missing=1
    fi
}

need cargo "a Rust toolchain, 1.88 or newer" "Install it with rustup: https://rustup.rs"
need cc "a C compiler" "On Debian or Ubuntu: apt-get install build-essential"
[ "$missing" = 0 ] || exit 1

have=$(rustc --version | awk '{print $2}' | cut -d- -f1)
if [ "$(printf '%s\n' 1.88.0 "$have" | sort -V | head -n 1)" != 1.88.0 ]; then
    echo "rustc $have is too old: Tidegate needs 1.88 or newer (rustup update stable)" >&2
    exit 1
fi
