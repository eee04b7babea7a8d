#!/bin/sh
# After the files are removed. The account stays, because key files may belong to its group.
set -e
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
