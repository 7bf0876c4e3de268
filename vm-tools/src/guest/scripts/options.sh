
# Hands each argument with its value to option(), which sets `words` to 1 where there is none, and fails on what it does not
# know.
read_options() {
  while [ $# -gt 0 ]; do
    case $1 in
      -h | --help)
        usage
        exit 0
        ;;
    esac
    words=2
    option "$1" "${2-}" || misuse "unknown argument $1"
    [ "$words" = 1 ] || [ -n "${2-}" ] || misuse "$1 needs a value"
    shift "$words"
  done
}

# The value of an option that is counted in.
seconds() {
  case $2 in
    *[!0-9]*) misuse "$1 takes whole seconds, not $2" ;;
  esac
}
