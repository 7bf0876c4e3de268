
# How the service takes new files. Each way ends with 0, with 1 if it failed, or with 2 if the guest has no means for it;
# the last two have said why.
take() {
  status=0
  telling=yes
  : >"$state/telling"
  case $reload in
    none) ;;
    mongodb) reload_mongodb || status=$? ;;
    postgresql) each_service reload || status=$? ;;
    redis) reload_redis || status=$? ;;
    # Without our lock (9), which a daemon that it starts would keep.
    command)
      "$command" </dev/null 9>&- || {
        warn "$command ended with status $?"
        status=1
      }
      ;;
    restart) each_service try-restart || status=$? ;;
  esac
  rm -f "$state/telling"
  telling=''
  [ "$status" -eq 0 ] || return "$status"
  [ "$reload" = none ] || serves "$1"
}

# All units that a SERVICE names; a template's instances by a pattern.
each_service() {
  if ! command -v systemctl >/dev/null 2>&1; then
    warn "systemctl is not installed: the service cannot be told"
    return 2
  fi
  while read -r unit; do
    if ! systemctl "$1" "$unit" </dev/null 9>&-; then
      warn "systemctl $1 $unit failed"
      return 1
    fi
  done <<LIST
$services
LIST
}

# running, stopped, or changing, if a service is on its way to one of both. What systemd does not know counts as running.
state_of_services() {
  if [ -z "$services" ] || ! command -v systemctl >/dev/null 2>&1; then
    echo running
    return
  fi
  result=stopped
  while read -r unit; do
    for word in $(systemctl is-active "$unit" </dev/null 2>/dev/null || :); do
      case $word in
        active | reloading | refreshing) result=running ;;
        activating | deactivating | maintenance) [ "$result" = running ] || result=changing ;;
      esac
    done
  done <<LIST
$services
LIST
  echo "$result"
}

# The fingerprint of the certificate that is served at this moment. A client certificate may be asked for in vain: the
# server's own has been seen by then.
seen() {
  timeout 10 openssl s_client -connect "$endpoint" ${starttls:+-starttls "$starttls"} </dev/null 2>/dev/null |
    openssl x509 -noout -fingerprint -sha256 2>/dev/null || :
}

serves_now() {
  [ -n "$endpoint" ] && command -v openssl >/dev/null 2>&1 || return 1
  [ "$(seen)" = "$(openssl x509 -in "$1" -noout -fingerprint -sha256)" ]
}

# A server that was told to reload says nothing of a file that it could not use and goes on with the old certificate: what
# it really serves is seen from outside. $1 is a file with the certificate.
serves() {
  [ -n "$endpoint" ] || return 0
  if ! command -v openssl >/dev/null 2>&1; then
    say "openssl is not installed: whether the service now serves its new files was not seen"
    return 0
  fi
  wanted=$(openssl x509 -in "$1" -noout -fingerprint -sha256)
  tries=0 limit=$wait
  # A server that starts may have work to do first.
  [ "$reload" != restart ] || limit=60
  while :; do
    found=$(seen)
    [ "$found" != "$wanted" ] || return 0
    [ "$tries" -lt "$limit" ] || break
    sleep 1
    tries=$((tries + 1))
  done
  if [ -n "$found" ]; then
    warn "$endpoint serves another certificate than the one in place"
  elif [ "$reload" = restart ]; then
    warn "nothing answers with TLS at $endpoint after the restart"
  else
    warn "nothing answers with TLS at $endpoint: whether the service now serves its new files was not seen"
    return 0
  fi
  return 1
}

# Lines 1 and 2 of the credential file: user and password. They never become arguments, which all users of a guest see.
read_credentials() {
  user='' password=''
  [ -n "$credentials" ] || return 0
  if ! [ -r "$credentials" ]; then
    warn "the credential file $credentials cannot be read"
    return 1
  fi
  case $(stat -c %a "$credentials") in
    *00) ;;
    *)
      warn "the credential file $credentials is open to others than its owner; chmod 0600"
      return 1
      ;;
  esac
  # The last line may lack its end.
  { IFS= read -r user && IFS= read -r password; } <"$credentials" || :
  if [ -z "$user" ] || [ -z "$password" ]; then
    warn "the credential file $credentials must have the user in its first line and the password in its second"
    return 1
  fi
}

# Prepares what a client needs to reach the server before it has the new files, and after: the authorities of both, and as
# the client's own certificate the one that the server was started with. The old authority comes first, as OpenSSL takes
# the first of two with the same name.
prepare_client() {
  read_credentials || return 1
  own=$state/old
  [ -d "$own" ] || own=$work/new
  n=0 own_key='' own_certificate=''
  : >"$work/trust.pem"
  while read -r content _; do
    n=$((n + 1))
    case $content in
      key) own_key=$own/$n ;;
      certificate) own_certificate=$own/$n ;;
      combined) own_key=$own/$n own_certificate=$own/$n ;;
      ca) cat_lines "$own/$n" >>"$work/trust.pem" ;;
    esac
  done <<LIST
$files
LIST
  cat_lines "$work/ca.crt" >>"$work/trust.pem"
}

# Other authorities than ours are not trusted, but names are not looked at: on this guest's own address no certificate
# has to have a name for it. What mongosh runs is constant; user and password it reads itself.
reload_mongodb() {
  prepare_client || return 1
  if ! command -v mongosh >/dev/null 2>&1; then
    warn "mongosh is not installed: only a restart of MongoDB serves the new certificate"
    return 2
  fi
  # mongosh takes key and certificate from one file.
  {
    cat_lines "$own_key"
    cat_lines "$own_certificate"
  } >"$work/client.pem"
  options="tls=true&tlsCAFile=$work/trust.pem&tlsCertificateKeyFile=$work/client.pem&tlsAllowInvalidHostnames=true"
  # shellcheck disable=SC2016 # JavaScript, for mongosh to expand
  answer=$(TANDEM_CREDENTIALS="$credentials" timeout 60 mongosh --nodb --norc --quiet \
    --eval 'const [user, password] = process.env.TANDEM_CREDENTIALS
      ? require("fs").readFileSync(process.env.TANDEM_CREDENTIALS, "utf8").split("\n") : [];
    const uri = "mongodb://'"$endpoint/admin?directConnection=true&serverSelectionTimeoutMS=10000&$options"'";
    const admin = user ? connect(uri, user, password) : connect(uri);
    const answer = admin.adminCommand({rotateCertificates: 1, message: "tandem-tls"});
    if (answer.ok !== 1) { throw new Error(answer.errmsg); }' </dev/null 2>&1 9>&-) || {
    warn "MongoDB did not take it by rotateCertificates; mongosh says: $(echo "$answer" | tr '\n' ' ')"
    return 1
  }
}

reload_redis() {
  prepare_client || return 1
  for client in valkey-cli redis-cli ''; do
    ! command -v "${client:-:}" >/dev/null 2>&1 || break
  done
  if [ -z "$client" ]; then
    warn "neither redis-cli nor valkey-cli is installed: only a restart of the server serves the new certificate"
    return 2
  fi
  n=0
  set -- CONFIG SET
  while read -r content _ _ path; do
    case $content in
      key) set -- "$@" tls-key-file "$path" ;;
      certificate) set -- "$@" tls-cert-file "$path" ;;
      combined) set -- "$@" tls-cert-file "$path" tls-key-file "$path" ;;
      ca) set -- "$@" tls-ca-cert-file "$path" ;;
    esac
  done <<LIST
$files
LIST
  answer=$(ask_redis "$@") || :
  case $answer in
    *'wrong number of arguments'*)
      # Before 7.0 it takes one setting at a time, and loads all files each time.
      shift 2
      while [ $# -gt 0 ]; do
        answer=$(ask_redis CONFIG SET "$1" "$2") || :
        [ "$answer" = OK ] || break
        shift 2
      done
      ;;
  esac
  [ "$answer" = OK ] || {
    warn "the server did not take it by CONFIG SET; $client says: $(echo "$answer" | tr '\n' ' ')"
    return 1
  }
}

ask_redis() {
  if [ -n "$user" ]; then
    set -- --user "$user" "$@"
    REDISCLI_AUTH=$password VALKEYCLI_AUTH=$password
    export REDISCLI_AUTH VALKEYCLI_AUTH
  fi
  if [ -n "$socket" ]; then
    run_redis_client -s "$socket" "$@"
    return
  fi
  host=${endpoint%:*}
  # An IPv6 address stands in brackets before its port, and without them here.
  host=${host#\[}
  set -- -h "${host%\]}" -p "${endpoint##*:}" --tls --cert "$own_certificate" --key "$own_key" "$@"
  said=$(run_redis_client --cacert "$work/trust.pem" "$@") || :
  case $said in
    # It serves the new certificate already, and a new authority has the name of the old one.
    *'certificate verify failed'*) said=$(run_redis_client --cacert "$work/ca.crt" "$@") || : ;;
  esac
  printf '%s\n' "$said"
}

run_redis_client() {
  timeout 30 "$client" --no-auth-warning "$@" </dev/null 2>&1 9>&-
}

# Has the running service take the new files, or goes back to the old ones.
tell_service() {
  status=0
  take "$work/tls.crt" || status=$?
  unfinished=''
  case $status in
    0)
      taken
      case $reload in
        none) say "no way to reload is set: the service serves them after its next start" ;;
        *) say "the service has taken them (${reload})" ;;
      esac
      return
      ;;
    1)
      if [ ! -d "$state/old" ]; then
        warn "the service did not take them, and there are no older files to go back to"
      else
        place "$state/old" || die "the old files could not be put back; $(paths) are new, and the service has not taken them"
        # Told again, in case it has taken a part; if nothing can be told it, what counts is what it serves.
        if take "$(old_certificate)" || serves_now "$(old_certificate)"; then
          warn "the service did not take them: the old files are back in place, and served"
        else
          warn "the service did not take them: the old files are back in place, but it did not take those either"
        fi
        rm -rf "$state/old"
      fi
      ;;
    *)
      if serves_now "$work/tls.crt"; then
        say "the service was started with the new files meanwhile"
        taken
        return
      fi
      warn "the new files stay in place: the service serves them after its next start"
      ;;
  esac
  remember 'the service did not take it'
  exit 1
}

old_certificate() {
  n=0
  while read -r content _; do
    n=$((n + 1))
    case $content in
      certificate | combined) printf '%s\n' "$state/old/$n" ;;
    esac
  done <<LIST
$files
LIST
}
