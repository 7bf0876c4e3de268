#!/bin/sh
# The container image: image.sh FILE TARGET-DIR ARCH… puts the static issuers that binaries.sh left in TARGET-DIR into an OCI
# archive, a manifest for each architecture. Nothing else is in it: no shell, no libraries, no certificates (the API server's
# CA comes with the ServiceAccount). The same binaries of the same commit give the same bytes.
set -eu

# shellcheck source=release/version.sh
. "$(dirname "$0")/version.sh"
file=$1 target=$2
shift 2
mkdir -p "$(dirname "$file")"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# A store of its own: the machine's is left as it is, and so are its settings.
buildah() { command buildah --storage-driver vfs --root "$scratch/root" --runroot "$scratch/run" "$@"; }

buildah manifest create tandem-issuer >/dev/null
for arch in "$@"; do
    case $arch in
        amd64) triple=x86_64-unknown-linux-musl ;;
        arm64) triple=aarch64-unknown-linux-musl ;;
        *) echo "there is no image for $arch: amd64 or arm64" >&2 && exit 1 ;;
    esac
    container=$(buildah from --arch "$arch" scratch)
    # Root's, so that the process cannot change its own program.
    buildah copy --quiet --chown 0:0 --chmod 755 "$container" "$target/$triple/release/tandem-issuer" /tandem-issuer >/dev/null
    buildah config --arch "$arch" --user 65532:65532 --entrypoint '["/tandem-issuer"]' --cmd run \
        --label org.opencontainers.image.title=tandem-issuer \
        --label org.opencontainers.image.description='A cert-manager external issuer that signs from an internal CA' \
        --label "org.opencontainers.image.version=$TANDEM_VERSION" \
        --label "org.opencontainers.image.revision=$REVISION" \
        --label "org.opencontainers.image.created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)" \
        --label org.opencontainers.image.licenses=Apache-2.0 "$container"
    # Compressed here, so that a registry holds it under the digest that it has here.
    buildah commit --quiet --identity-label=false --omit-history --timestamp "$SOURCE_DATE_EPOCH" \
        --disable-compression=false --manifest tandem-issuer "$container" >/dev/null
done
buildah manifest push --quiet --all tandem-issuer "oci:$scratch/layout:$number" >/dev/null
tar --create --file "$file.part" --directory "$scratch/layout" --format ustar --sort name --owner 0 --group 0 --numeric-owner \
    --mode a+rX,u+w,go-w --mtime "@$SOURCE_DATE_EPOCH" .
mv "$file.part" "$file"
echo "$file: $(du --apparent-size -h "$file" | cut -f 1), $TANDEM_VERSION for $*"
