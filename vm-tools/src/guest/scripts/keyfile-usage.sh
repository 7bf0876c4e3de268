usage() {
  cat <<USAGE
Usage: tandem-keyfile [--config FILE] [--source DIR] [--wait SECONDS]

Checks the keyFile of a Secret, then installs it with mode 0400 as the settings say.

  --config FILE   the settings (/etc/tandem/keyfile.conf)
  --source DIR    read the keyFile from DIR instead of from the disk of the settings
  --wait SECONDS  how long to wait for the disk (60)
USAGE
}

device='' key='' owner='' target=''

setting() {
  case $1 in
    DEVICE) device=$2 ;;
    KEY) key=$2 ;;
    OWNER) owner=$2 ;;
    TARGET) target=$2 ;;
    *) return 1 ;;
  esac
}
