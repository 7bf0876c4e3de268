#!/bin/sh
# Makes a PostgreSQL cluster where there is none: on a new data disk, which hides the one that the package may have made.
set -eu
umask 077

DATA='{{ data }}'
INITDB='{{ initdb }}'
OWNER='{{ user }}'
{% if include %}
CONFIG='{{ include }}'
{% endif %}

say() {
  printf 'tandem-initdb: %s\n' "$*"
}

if ! [ -f "$DATA/PG_VERSION" ]; then
  say "no cluster in $DATA: making one"
  # Under another name, so that one that was cut short is not taken for a whole one.
  rm -rf "$DATA.new"
  install -d -o "$OWNER" -g "$(id -g "$OWNER")" -m 0700 "$(dirname "$DATA")"
  runuser -u "$OWNER" -- "$INITDB" -D "$DATA.new" --encoding=UTF8 --locale=C.UTF-8 \
    --auth-local=peer --auth-host=scram-sha-256 >/dev/null
  # Packages leave an empty folder there.
  [ ! -d "$DATA" ] || rmdir "$DATA"
  mv -T "$DATA.new" "$DATA"
  sync "$(dirname "$DATA")"
  if command -v restorecon >/dev/null 2>&1; then
    restorecon -R "$DATA" || say "restorecon failed; SELinux may keep the database from its files"
  fi
fi
{% if include %}
if ! grep -qxF "include '$CONFIG'" "$DATA/postgresql.conf"; then
  say "$DATA/postgresql.conf now ends with $CONFIG"
  printf "\ninclude '%s'\n" "$CONFIG" >>"$DATA/postgresql.conf"
fi
{% endif %}
