#!/bin/sh
# Is the image reproducible? check.sh IMAGE SCRATCH ARCH… builds it once more, from nothing, in another folder and under other
# settings, and compares the bytes with those of IMAGE, whoever built that. SCRATCH is made anew, and gone when they are the same.
set -eu

# shellcheck source=release/version.sh
. "$(dirname "$0")/version.sh"
image=$1 scratch=$2
shift 2
[ -f "$image" ] || { echo "$image: there is no such image" >&2; exit 1; }
rm -rf "$scratch"
work=$scratch/another-one/somewhere/else
mkdir -p "$work"
work=$(cd "$work" && pwd)
tar --create --directory "$root" --exclude ./target --exclude ./.git . | tar --extract --directory "$work"
umask 077
export TZ=Pacific/Auckland CARGO_BUILD_JOBS=3 CARGO_INCREMENTAL=0
for arch in "$@"; do "$work/release/binaries.sh" "$arch" "$work/target"; done
"$work/release/image.sh" "$scratch/again.oci.tar" "$work/target" "$@"
cmp "$image" "$scratch/again.oci.tar"
sha256sum "$image"
rm -rf "$scratch"
echo 'built again, with the same bytes'
