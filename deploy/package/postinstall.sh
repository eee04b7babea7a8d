#!/bin/sh
# After the files of a new or upgraded package are there.
set -e
if ! getent passwd talon >/dev/null; then
  useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin talon
fi
# A new installation has no settings yet, so that nothing is started. An upgrade restarts the
# service if it runs, unless somebody else has to migrate the schema before.
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  if grep -Eiqs '^[[:space:]]*TALON_MIGRATE[[:space:]]*=[[:space:]]*["'\'']?(false|f|0)' /etc/talon/talon.env; then
    echo 'TALON_MIGRATE=false: run talon migrate as the owner of the tables, then systemctl restart talon'
  else
    systemctl try-restart talon.service
  fi
fi
