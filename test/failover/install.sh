#!/bin/sh
# Installs the Debian packages that make failover needs, unless they are there, and starts none of
# their services.
set -eu
programs="patroni patronictl etcd haproxy"
PATH=$PATH:/usr/sbin
missing=
for program in $programs; do command -v "$program" >/dev/null || missing="$missing $program"; done
[ -n "$missing" ] || exit 0
packages="patroni etcd-server haproxy"
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
  echo "make failover needs$missing: install them as root (Debian: apt-get install $packages)" >&2
  exit 1
fi
echo "installing $packages" >&2
root=$([ "$(id -u)" = 0 ] || echo "sudo -n")
$root sh -eu <<END
policy=/usr/sbin/policy-rc.d
if [ ! -e \$policy ]; then # it forbids the packages to start their services
  trap 'rm -f '\$policy EXIT
  printf '#!/bin/sh\nexit 101\n' >\$policy
  chmod 755 \$policy
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update || echo 'the package lists are not up to date' >&2
apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends $packages
END
