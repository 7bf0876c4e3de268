
# Reads a file of KEY='value' lines, as tandem-vm writes it, and hands each to setting(). It is data: nothing in it is run.
read_settings() {
  [ -r "$1" ] || die "$1 cannot be read"
  while IFS= read -r line || [ -n "$line" ]; do
    case $line in
      '' | '#'*) continue ;;
      [A-Z]*=\'*\') ;;
      *) die "$1 has a line that is not KEY='value': $line" ;;
    esac
    value=${line#*=\'}
    value=${value%\'}
    case $value in
      *\'*) die "$1 has a quote within a value: $line" ;;
    esac
    setting "${line%%=*}" "$value" || die "$1 has a setting that is not known or not possible: $line"
  done <"$1"
}
