#!/bin/sh
# Plants faults, one after the other, and sees the test that is there for each go red, and say why: run.sh [NAME…]
# `run.sh --check` runs no test: it tells of faults that cannot be planted any more, and of tests that are gone.
#
# NAME.patch is a fault in a few lines of what is shipped. Before its diff stand what it is; `Suite:`, as `cargo test --test`
# knows it, or `lib` for unit tests; `Test:`, the path of the test; and `Says:`, a piece of what it says then, once or more.
set -eu
cd "$(dirname "$0")/../.."
folder=tests/planted
logs=${CARGO_TARGET_DIR:-target}/planted
command -v git >/dev/null || { echo 'git is missing: install it' >&2; exit 1; }
# A test that is skipped for want of a tool would not be red.
export TANDEM_REQUIRE_TOOLS=1

# What a patch says about this, before its diff.
field() { sed -n "/^diff /q; s/^$2: //p" "$1"; }

check() {
    git apply --check "$1" || { echo "$1: it cannot be planted; make it anew on the code as it is" >&2; return 1; }
    for wanted in Suite Test Says; do
        [ -n "$(field "$1" $wanted)" ] || { echo "$1: no line begins with $wanted:" >&2; return 1; }
    done
    test=$(field "$1" Test)
    grep -rq --include='*.rs' "fn ${test##*::}(" issuer cli vm-tools tests || { echo "$1: there is no test $test" >&2; return 1; }
}

# Whatever happens, the fault is taken out.
planted=
take_out() {
    [ -z "$planted" ] || git apply --reverse "$planted" || echo "$planted is still planted: git apply --reverse $planted" >&2
    planted=
}
trap take_out EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM

# Runs a fault's test with the fault planted, and tells what came of it; whether it was red as announced.
goes_red() {
    name=$(basename "$1" .patch)
    test=$(field "$1" Test)
    suite=$(field "$1" Suite)
    log=$logs/$name.log
    case $suite in
        lib) set -- "$1" --lib --bins ;;
        *) set -- "$1" --test "$suite" ;;
    esac
    began=$(date +%s)
    planted=$1
    git apply "$1" || { planted=; return 1; }
    shift
    ${CARGO:-cargo} test --locked --workspace "$@" -- --exact "$test" >"$log" 2>&1 || :
    patch=$planted
    take_out
    took=$(($(date +%s) - began))
    # The list of those that failed. What does not compile, or is skipped, is not red.
    if ! grep -qx "    $test" "$log"; then
        echo "$name: $test: NOT RED after $took s, see $log"
        return 1
    fi
    unsaid=$(field "$patch" Says | while IFS= read -r says; do grep -qF -e "$says" "$log" || echo "$says"; done | paste -sd '|' -)
    if [ -n "$unsaid" ]; then
        echo "$name: $test: red after $took s, but NOT SAID: $unsaid, see $log"
        return 1
    fi
    echo "$name: $test: red after $took s: $(field "$patch" Says | paste -sd '|' -)"
}

only_check=
[ "${1-}" != --check ] || { only_check=yes; shift; }
[ $# -gt 0 ] || { for patch in "$folder"/*.patch; do set -- "$@" "$(basename "$patch" .patch)"; done; }

failed=0
for name in "$@"; do check "$folder/$name.patch" || failed=1; done
[ -z "$only_check" ] && [ $failed -eq 0 ] || exit $failed

[ -z "$(git status --porcelain --untracked-files=no)" ] || { echo 'the tree has changes: commit or stash them first' >&2; exit 1; }
mkdir -p "$logs"
for name in "$@"; do goes_red "$folder/$name.patch" || failed=1; done
exit $failed
