# MySQL: what recipes/mariadb.sh says holds here too. Sourced by ctl.

# shellcheck source=mariadb.sh
. "$here/recipes/mariadb.sh"

title=MySQL
programs=(mysqld mysql)
packages=(mysql-server-core mysql-client-core)

base=()
if programs_present && ! mysqld --version | grep -q MariaDB; then
  server=(mysqld)
  client=(mysql)
else
  # Debian has MySQL in its unstable suite alone.
  unpacked=$cache/debian-sid-mysql
  server=("$unpacked/run" mysqld)
  client=("$unpacked/run" mysql)
  base=("--basedir=$unpacked/usr")
fi

own_options=(
  "${base[@]}" --mysqlx=OFF --secure-file-priv=NULL --innodb-redo-log-capacity=32M --performance-schema=OFF
  "--caching-sha2-password-private-key-path=private_key.pem" "--caching-sha2-password-public-key-path=public_key.pem"
)

is_available() { [[ ${server[0]} == mysqld || -x $unpacked/run ]]; }

how_to_get() {
  printf '%s is missing: run "tests/servers/ctl %s install" (Debian, no root needed), or install what has %s\n' \
    "$title" "$recipe" "${programs[*]}"
}

install() { unpack_packages sid debian-sid-mysql "${packages[@]}"; }

make_data() {
  "${server[@]}" --no-defaults "--user=$(id -un)" "--datadir=$1" "${base[@]}" --initialize-insecure --secure-file-priv=NULL \
    --innodb-redo-log-capacity=32M
}

identified_by() { printf "IDENTIFIED WITH caching_sha2_password BY '%s'" "$1"; }
