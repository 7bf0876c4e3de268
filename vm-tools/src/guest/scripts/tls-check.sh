
# A file cut off in the middle has its first line but not its last.
is_pem() {
  case $(cat "$1") in
    *"-----BEGIN $2-----"*"-----END $2-----"*) return 0 ;;
    *) return 1 ;;
  esac
}

check_secret() {
  is_pem "$work/tls.key" 'PRIVATE KEY' || is_pem "$work/tls.key" 'RSA PRIVATE KEY' ||
    is_pem "$work/tls.key" 'EC PRIVATE KEY' || refuse "tls.key holds no whole PEM private key"
  is_pem "$work/tls.crt" CERTIFICATE || refuse "tls.crt holds no whole PEM certificate"
  is_pem "$work/ca.crt" CERTIFICATE || refuse "ca.crt holds no whole PEM certificate"
  if command -v openssl >/dev/null 2>&1; then
    check_with_openssl
  else
    say "openssl is not installed: whether key, certificate and ca.crt belong together was not checked"
  fi
}

check_with_openssl() {
  # An empty passphrase, so that an encrypted key fails here instead of asking for one at boot.
  openssl pkey -in "$work/tls.key" -passin pass: -pubout -out "$work/key.pub" </dev/null >/dev/null 2>&1 ||
    refuse "tls.key is not a private key that can be read without a passphrase"
  openssl x509 -in "$work/tls.crt" -noout -pubkey >"$work/crt.pub" 2>/dev/null || refuse "tls.crt is not a certificate"
  [ "$(cat "$work/key.pub")" = "$(cat "$work/crt.pub")" ] || refuse "tls.key is not the key of tls.crt"
  waited=0
  until verdict=$(verify_chain); do
    case $verdict in
      *'not yet valid'*) ;;
      *) refuse "tls.crt does not verify against ca.crt" "openssl says: $(echo "$verdict" | tr '\n' ' ')" ;;
    esac
    # A clock may be set while the guest boots, and a disk is read only then; the timer comes again.
    if [ -n "$reloading" ] || [ "$waited" -ge "$wait" ]; then
      refuse "this guest's clock is behind the certificate: $(first_dates)" \
        "the clock says $(date -u '+%b %e %H:%M:%S %Y GMT'): set it, as chronyd or systemd-timesyncd do"
    fi
    sleep 1
    waited=$((waited + 1))
  done
  say "key and certificate belong together, and the chain verifies; $(openssl x509 -in "$work/tls.crt" -noout -enddate)"
}

verify_chain() {
  # Only a server has to be fit to be one.
  if [ -n "$endpoint" ]; then
    set -- -purpose sslserver
  fi
  # Without these two variables openssl would also trust the authorities of the guest's own system.
  SSL_CERT_FILE="$work/none" SSL_CERT_DIR="$work/none" openssl verify "$@" \
    -CAfile "$work/ca.crt" -untrusted "$work/tls.crt" "$work/tls.crt" 2>&1
}

# From when on the leaf is valid, and its authority, which may be as new.
first_dates() {
  printf 'tls.crt is valid from %s, ca.crt from %s\n' "$(first_date tls.crt)" "$(first_date ca.crt)"
}

first_date() {
  openssl x509 -in "$work/$1" -noout -startdate | cut -d= -f2
}
