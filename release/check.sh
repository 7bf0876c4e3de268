#!/bin/sh
# Is the image reproducible? check.sh TARGET-DIR ARCH… builds it twice, from nothing, in folders with different names, under
# different settings, and compares the bytes; and with those of the image that COMPARE names, if it does.
set -eu

# shellcheck source=release/version.sh
. "$(dirname "$0")/version.sh"
target=$1
shift
mkdir -p "$target"
target=$(cd "$target" && pwd)
for folder in one/here another-one/somewhere/else; do
    work=$target/$folder
    rm -rf "$work" && mkdir -p "$work"
    tar --create --directory "$root" --exclude ./target --exclude ./.git . | tar --extract --directory "$work"
    for arch in "$@"; do "$work/release/binaries.sh" "$arch" "$work/target"; done
    "$work/release/image.sh" "$target/$(echo "$folder" | cut -d / -f 1).oci.tar" "$work/target" "$@"
    # The second time.
    umask 077
    export TZ=Pacific/Auckland CARGO_BUILD_JOBS=1 CARGO_INCREMENTAL=0
done
cmp "$target/one.oci.tar" "$target/another-one.oci.tar"
[ -z "${COMPARE:-}" ] || cmp "$COMPARE" "$target/one.oci.tar"
sha256sum "$target/one.oci.tar"
rm -rf "$target"
echo "built twice, with the same bytes${COMPARE:+ as $COMPARE}"
