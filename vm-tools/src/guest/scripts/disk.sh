
# Waits for exactly this disk: letters such as vda are not stable, and a pattern could match a longer serial.
wait_for_disk() {
  waited=0
  # udev may still be at work this early; an error here only means that the loop below does the waiting.
  if command -v udevadm >/dev/null 2>&1; then
    udevadm settle --timeout=10 || :
  fi
  until [ -b "$1" ]; do
    [ "$waited" -lt "$wait" ] ||
      die "no disk at $1 after $wait seconds; the VirtualMachine must have a disk with this serial on the virtio bus"
    sleep 1
    waited=$((waited + 1))
  done
}
