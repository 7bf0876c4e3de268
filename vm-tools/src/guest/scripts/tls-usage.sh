# How many seconds pass before a Secret that was refused is reported, or tried on the service, once more.
RETRY=3600
NEWLINE='
'

usage() {
  cat <<USAGE
Usage: tandem-tls [--reload] [--config FILE] [--source DIR] [--root DIR] [--wait SECONDS]

Checks tls.key, tls.crt and ca.crt of a Secret, then installs them as the settings say.
Nothing is replaced unless every check passed.

  --reload        also have the running service take them, and go back to the old files if it does not; says nothing
                  where nothing has changed
  --config FILE   the settings (/etc/tandem/tls.conf)
  --source DIR    read the three files from DIR instead of from the disk or filesystem of the settings
  --root DIR      write beneath DIR, with the settings in it and the ids that its etc/passwd and etc/group give
  --wait SECONDS  how long to wait for the disk or filesystem, for the clock to reach the certificate, or with --reload
                  for the service to serve it (60; with --reload 10)
USAGE
}
