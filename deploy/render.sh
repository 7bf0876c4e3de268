#!/bin/sh
# Prints the chart as manifests for kubectl, with the namespace that Helm would make. HELM is the command.
set -eu
cat <<'EOF'
# tandem-issuer for `kubectl apply`, as charts/tandem-issuer renders it: made by `make chart`.
apiVersion: v1
kind: Namespace
metadata:
  name: tandem
  labels:
    pod-security.kubernetes.io/enforce: restricted
EOF
exec "${HELM:-helm}" template tandem-issuer "$(dirname "$0")/../charts/tandem-issuer" --namespace tandem \
    --set creator=kubectl --set crds.keep=false
