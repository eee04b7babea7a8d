#!/bin/sh
# After the files of a new or upgraded package are there.
set -e
if ! getent passwd talon >/dev/null; then
  useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin talon
fi
# A new installation has no settings yet, so that nothing is started. An upgrade restarts the
# service if it runs.
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  systemctl try-restart talon.service
fi
