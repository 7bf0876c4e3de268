#!/bin/sh
# What is published: artifacts.sh FOLDER IMAGE TARGET-DIR TOOLS ARCH… gathers the image, the programs, the packaged chart, a
# software bill of materials for each program, and the checksums of all of them in FOLDER, which is made anew. TOOLS is the
# folder of cargo-cyclonedx and helm.
set -eu

# shellcheck source=release/version.sh
. "$(dirname "$0")/version.sh"
folder=$1 image=$2 target=$3 tools=$4
shift 4
rm -rf "$folder.part" "$folder"
mkdir -p "$folder.part"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$root"

cp "$image" "$folder.part/tandem-issuer-$number.oci.tar"
for arch in "$@"; do
    case $arch in
        amd64) triple=x86_64-unknown-linux-musl ;;
        arm64) triple=aarch64-unknown-linux-musl ;;
    esac
    for program in tandem-issuer tandem-vm; do
        mkdir -p "$scratch/$arch"
        cp "$target/$triple/release/$program" LICENSE "$scratch/$arch"
        tar --create --directory "$scratch/$arch" --format ustar --owner 0 --group 0 --numeric-owner --mode a+rX,u+w,go-w \
            --mtime "@$SOURCE_DATE_EPOCH" LICENSE "$program" |
            gzip --no-name >"$folder.part/$program-$number-linux-$arch.tar.gz"
    done
done

# It writes beside each manifest, and where that is: so it gets a copy of the sources, whose place is then left out. The crates
# are the same for each architecture.
mkdir "$scratch/sources"
tar --create --exclude ./target --exclude ./.git . | tar --extract --directory "$scratch/sources"
(cd "$scratch/sources" && PATH="$tools:$PATH" cargo cyclonedx --quiet --format json --spec-version 1.5 --describe binaries \
    --target x86_64-unknown-linux-musl)
# What it reads, cargo's metadata, has every crate that a feature could ask for, ring among them, which deny.toml bans. Those
# that are not built are left out.
cargo tree --quiet --locked -p tandem-issuer -p tandem-vm --edges normal,build --target x86_64-unknown-linux-musl \
    --prefix none --format '{p}' | sed -n 's/^\([^ ]*\) v\([^ ]*\).*/\1@\2/p' | sort -u >"$scratch/built"
for program in issuer/tandem-issuer vm-tools/tandem-vm; do
    jq --rawfile built "$scratch/built" '($built | split("\n")) as $built
        | [.components[] | select("\(.name)@\(.version)" | IN($built[]) | not)."bom-ref"] as $out
        | .components |= map(select(."bom-ref" | IN($out[]) | not))
        | .dependencies |= map(select(.ref | IN($out[]) | not) | if .dependsOn then .dependsOn -= $out else . end)' \
        "$scratch/sources/${program}_bin.cdx.json" |
        sed "s|file://$scratch/sources|file:///tandem|g" >"$folder.part/${program#*/}-$number.cdx.json"
done
if grep -l "$scratch" "$folder.part"/*.json; then
    echo 'a bill of materials holds a path of this machine' >&2 && exit 1
fi
"$tools/helm" package charts/tandem-issuer --destination "$folder.part" >/dev/null

(cd "$folder.part" && sha256sum -- * >"$scratch/SHA256SUMS" && mv "$scratch/SHA256SUMS" .)
mv "$folder.part" "$folder"
ls -l "$folder"
