# shellcheck shell=sh
# What a release says of itself, to be sourced: TANDEM_VERSION, REVISION, SOURCE_DATE_EPOCH.
# All of it comes from Cargo.toml and the commit, so that whoever builds that commit again says the same.

root=$(cd "$(dirname "$0")/.." && pwd)
number=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -n 1)
if [ -z "${REVISION:-}" ]; then
    # A repository above this folder is another one's.
    REVISION=$(git -C "$root" rev-parse --verify --quiet HEAD 2>/dev/null || echo unknown)
    [ "$(git -C "$root" rev-parse --show-toplevel 2>/dev/null)" = "$root" ] || REVISION=unknown
    [ -z "$(git -C "$root" status --porcelain --untracked-files=no 2>/dev/null)" ] || REVISION=$REVISION-dirty
fi
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct 2>/dev/null || echo 0)
fi
case $REVISION in
    unknown) TANDEM_VERSION=$number ;;
    *-dirty) TANDEM_VERSION=$number+$(echo "$REVISION" | cut -c 1-12).dirty ;;
    *) TANDEM_VERSION=$number+$(echo "$REVISION" | cut -c 1-12) ;;
esac
export REVISION SOURCE_DATE_EPOCH TANDEM_VERSION
