#!/bin/sh
# Removes the service edgernn-@NAME@. The config and the states stay, unless --purge is given.
set -eu

NAME=@NAME@
SERVICE="edgernn-$NAME"

stop() { echo "uninstall: $*" >&2; exit 1; }

prefix="" purge=no packaged=no
while [ $# -gt 0 ]; do
    case "$1" in
        --prefix)
            [ $# -ge 2 ] || stop "--prefix: expected a folder, got none."
            prefix=$2
            shift ;;
        --purge) purge=yes ;;
        --packaged) packaged=yes ;;
        --help) echo "usage: sh uninstall.sh [--prefix FOLDER] [--purge] [--packaged]"; exit 0 ;;
        *) stop "unknown option '$1'. See: sh uninstall.sh --help" ;;
    esac
    shift
done
[ -n "$prefix" ] || [ "$(id -u)" = 0 ] || stop "expected root, got user $(id -un). Run: sudo sh $0"

if [ -z "$prefix" ] && [ -d /run/systemd/system ]; then
    systemctl disable --now --quiet "$SERVICE" 2>/dev/null || true
fi
if [ $packaged = no ]; then
    rm -f "$prefix/etc/systemd/system/$SERVICE.service"
    if [ -z "$prefix" ] && [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
fi
rm -rf "$prefix/opt/edgernn/$NAME"
command=/usr/local/bin/edgernn
if [ -z "$prefix" ] && [ -L $command ] && [ ! -e $command ]; then rm -f $command; fi

kept=""
for path in "$prefix/etc/edgernn/$NAME.toml" "$prefix/etc/edgernn/$NAME.env" "$prefix/var/lib/edgernn/$NAME"; do
    if [ $purge = yes ]; then rm -rf "$path" "$path.new"; elif [ -e "$path" ]; then kept="$kept $path"; fi
done
for folder in /opt/edgernn /etc/edgernn /var/lib/edgernn; do
    rmdir "$prefix$folder" 2>/dev/null || true
done
echo "uninstall: $SERVICE is removed."
[ -z "$kept" ] || echo "uninstall: kept:$kept. To remove them too, run: sh uninstall.sh --purge"
