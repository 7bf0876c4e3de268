
# Refuses the Secret. With --reload the same refusal of the same content is reported once, then only every RETRY
# seconds; what is in the second argument may differ from time to time.
refuse() {
  if [ -n "$reloading" ] && remembered "$1"; then
    exit 0
  fi
  remember "$1"
  die "$1${2:+; $2}; the files in place were not touched"
}

remember() {
  printf '%s %s\n' "$digest" "$1" >"$state/refused"
}

# Whether this content was refused in the same words not long ago.
remembered() {
  [ "$(cat "$state/refused" 2>/dev/null)" = "$digest $1" ] || return 1
  age=$(($(date +%s) - $(stat -c %Y "$state/refused")))
  # A negative age is a clock that was set back.
  [ "$age" -ge 0 ] && [ "$age" -lt "$RETRY" ]
}

# Mounts the disk or filesystem where nobody but root can look into it: everybody could read the key there.
mount_source() {
  mounted=$work/source
  mkdir "$mounted"
  if [ -n "$tag" ]; then
    source="filesystem $tag"
    waited=0
    until said=$(mount -t virtiofs -o ro,nodev,nosuid,noexec "$tag" "$mounted" 2>&1 9>&-); do
      if [ "$waited" -ge "$wait" ]; then
        mounted=''
        refuse "the filesystem $tag does not mount: $(echo "$said" | tr '\n' ' ')"
      fi
      sleep 1
      waited=$((waited + 1))
    done
  else
    wait_for_disk "$device"
    source=$device
    if ! mount -t iso9660 -o ro,nodev,nosuid,noexec "$device" "$mounted" 9>&-; then
      mounted=''
      refuse "$device does not mount as iso9660"
    fi
  fi
}

# The folder behind the link by which a Secret volume switches all keys at once; without one, the folder itself.
generation() {
  if [ -e "$1/..data" ]; then
    (cd "$1/..data" && pwd -P)
  else
    printf '%s\n' "$1"
  fi
}

# Copies the three files, all of one generation: where the link is switched meanwhile, from the start.
read_secret() {
  tries=1
  while :; do
    before=$(generation "$1") || before=''
    missing=''
    for key in tls.key tls.crt ca.crt; do
      cat "$before/$key" >"$work/$key" 2>/dev/null || missing=${missing:-$key}
    done
    after=$(generation "$1") || after=''
    if [ "$before" = "$after" ] && { [ -z "$missing" ] || [ "$tries" -ge 3 ]; }; then
      break
    fi
    [ "$tries" -lt 10 ] || refuse "$source changes faster than it can be read"
    tries=$((tries + 1))
    # A file may be missing because the generation was removed while the link was still remembered.
    [ -z "$missing" ] || sleep 1
  done
  digest=$(cd "$work" && sha256sum tls.key tls.crt ca.crt | sha256sum)
  digest=${digest%% *}
  for key in tls.key tls.crt ca.crt; do
    [ -s "$work/$key" ] || refuse "$key is missing or empty on $source"
  done
}
