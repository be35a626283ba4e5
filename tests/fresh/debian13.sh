#!/usr/bin/env bash
# A bare Debian 13 as a test: `tests/fresh/debian13.sh [TORCH=cpu]`, as root. debootstrap makes one with git, make, gcc and
# its own Python 3.13 and nothing of a desktop; in it, a user without rights clones HEAD and runs README's commands to the
# smoke run's report (newcomer.sh). No part of the gate: it installs 7 GB (2 with TORCH=cpu) and takes some ten minutes.
#
# Exit code 77, and one line that says why, where it cannot run. TMPDIR says where it works; it never leaves less than
# 2 GB free there, and removes what it made. Its mounts live in a mount namespace of its own and end with it, however it
# ends. MIRROR names another Debian mirror; certificates that this machine trusts are trusted there, too.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
LEAST_FREE=2 # GB

skip() { echo "skipped: $*" >&2; exit 77; }
stop() { echo "error: $*" >&2; exit 1; }
free() { df -Pk "$1" | awk 'NR == 2 {print int($4 / 1048576)}'; }

inside() { # in namespaces of its own: nothing mounted here is seen outside, or outlives it
    local place=$1/debian torch=$2 began=$SECONDS
    echo "debootstrap: Debian 13 (trixie) from $MIRROR"
    debootstrap --variant=minbase --include=git,make,gcc,python3,python3-venv,ca-certificates trixie "$place" "$MIRROR" \
        > "$1/debootstrap.log" 2>&1 || { tail -n 5 "$1/debootstrap.log" >&2; stop "debootstrap has failed; see above"; }
    echo "debootstrap: $((SECONDS - began)) s, $(du -smx "$place" | cut -f1) MB"
    mount -t proc proc "$place/proc" && mount --rbind /dev "$place/dev" || stop "/proc and /dev cannot be mounted"
    cp /etc/resolv.conf "$place/etc/resolv.conf"
    [ ! -s /etc/ssl/certs/ca-certificates.crt ] || cp /etc/ssl/certs/ca-certificates.crt "$place/etc/ssl/certs/"
    cp "$1/echo.bundle" "$here/newcomer.sh" "$place/tmp/"
    chroot "$place" useradd --create-home --shell /bin/bash newcomer || exit 1
    chmod -R a+rX "$place/tmp"
    # An environment as after a login, not this machine's.
    exec chroot "$place" env -i HOME=/home/newcomer USER=newcomer PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 \
        PIP_CERT=/etc/ssl/certs/ca-certificates.crt ${torch:+"$torch"} ${http_proxy:+"http_proxy=$http_proxy"} \
        ${https_proxy:+"https_proxy=$https_proxy"} \
        setpriv --reuid newcomer --regid newcomer --init-groups \
        bash /tmp/newcomer.sh /tmp/echo.bundle /home/newcomer/echo-bench
}

if [ "${1:-}" = --inside ]; then
    inside "$2" "$3"
fi

torch=${1:-}
case $torch in "" | TORCH=cpu) ;; *) stop "usage: tests/fresh/debian13.sh [TORCH=cpu]" ;; esac
[ "$(uname -s)" = Linux ] || skip "a chroot of Debian needs Linux"
[ "$(id -u)" -eq 0 ] || skip "debootstrap and chroot need root"
command -v debootstrap > /dev/null || skip "there is no debootstrap; on Debian and Ubuntu: apt install debootstrap"
unshare --mount --pid --fork --kill-child true 2> /dev/null || skip "this machine grants no namespaces of mounts and processes"
# Where this machine's packages come from, if it is a Debian; snapshots and vendors' lists aside.
MIRROR=${MIRROR:-$(apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(REPO_URI)' 2> /dev/null |
    awk '$1 == "Debian" && $2 == "main" && $3 !~ /security/ {print $3; exit}')}
export MIRROR=${MIRROR:-http://deb.debian.org/debian}

work=$(mktemp -d "${TMPDIR:-/tmp}/debian13.XXXXXX") || exit 1
need=$([ -n "$torch" ] && echo 6 || echo 16)
child= watch=
clean() {
    [ -z "$watch" ] || kill "$watch" 2> /dev/null
    [ -z "$child" ] || { kill "$child" && wait "$child"; } 2> /dev/null
    # Its mounts have ended with the namespaces; should one not have, nothing behind it is touched.
    rm -rf --one-file-system "$work"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
[ "$(free "$work")" -ge "$need" ] || skip "$need GB are needed under ${TMPDIR:-/tmp} (TMPDIR names another place) and $(free "$work") are free"
[ -z "$(git -c safe.directory='*' -C "$root" status --porcelain)" ] || echo "note: only what is committed is tested" >&2
git -c safe.directory='*' -C "$root" bundle create --quiet "$work/echo.bundle" HEAD || exit 1

unshare --mount --pid --fork --kill-child "$here/debian13.sh" --inside "$work" "$torch" &
child=$!
while sleep 2; do
    [ "$(free "$work")" -ge "$LEAST_FREE" ] || { echo "error: less than $LEAST_FREE GB are free; stopped" >&2; kill "$child"; break; }
done &
watch=$!
wait "$child"
code=$?
child=
exit "$code"
