#!/bin/sh
# A control plane for work by hand: cluster.sh FOLDER-OF-BINARIES
# Prints what to type in another shell, and runs until Ctrl-C.
set -eu

binaries=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# The control plane gets Ctrl-C as well, and stops by itself.
trap : INT TERM

"$binaries/control-plane" serve --dir "$folder/control-plane" | {
    read -r kubeconfig || exit 1
    echo "export KUBECONFIG=$kubeconfig"
    command -v kubectl >/dev/null 2>&1 || echo "export PATH=$binaries:\$PATH"
    echo '# Ctrl-C stops it'
    cat >/dev/null
}
