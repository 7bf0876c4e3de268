#!/bin/sh
# Static binaries for release: binaries.sh ARCH TARGET-DIR, where ARCH is amd64 or arm64.
# Leaves them in TARGET-DIR/TRIPLE/release. The same commit gives the same bytes in whatever folder it is built, given the same
# Rust and C compiler: no path of the machine is compiled in, and the linker is the one that comes with Rust.
set -eu

# shellcheck source=release/version.sh
. "$(dirname "$0")/version.sh"
arch=$1 target=$2
case $arch in
    amd64) triple=x86_64-unknown-linux-musl compiler=musl-gcc ;;
    # Debian has no cross compiler for musl. aws-lc's C needs nothing of glibc but its headers.
    arm64) triple=aarch64-unknown-linux-musl compiler=aarch64-linux-gnu-gcc ;;
    *) echo "no binaries are built for $arch: amd64 or arm64" >&2 && exit 1 ;;
esac
cargo=${CARGO:-cargo}
cd "$root"
mkdir -p "$target"
target=$(cd "$target" && pwd)
if [ ! -d "$(rustc --print sysroot)/lib/rustlib/$triple" ]; then
    rustup target add "$triple"
fi

# Packed relocations (RELR) take a fiftieth of the place, and musl knows them. cold.ld keeps memory small.
flags="-Clinker=rust-lld -Clink-self-contained=yes -Clink-arg=--pack-dyn-relocs=relr -Clink-arg=--icf=safe"
flags="$flags -Clink-arg=-Trelease/cold.ld"
flags="$flags --remap-path-prefix=$root=/tandem --remap-path-prefix=$target=/target"
flags="$flags --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
upper=$(echo "$triple" | tr 'a-z-' 'A-Z_')
lower=$(echo "$triple" | tr - _)
export "CARGO_TARGET_${upper}_RUSTFLAGS=$flags${RELEASE_RUSTFLAGS:+ $RELEASE_RUSTFLAGS}"
export "CC_$lower=$compiler"
# What a user's settings add is not part of a release.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CFLAGS
"$cargo" build --locked --release -p tandem-issuer -p tandem-vm --target "$triple" --target-dir "$target"
