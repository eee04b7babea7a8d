#!/bin/sh
# Before the files are removed. The argument is remove (deb) or 0 (rpm), otherwise it is an upgrade.
set -e
case "$1" in
  remove | 0)
    if [ -d /run/systemd/system ]; then systemctl disable --now talon.service; fi
    ;;
esac
