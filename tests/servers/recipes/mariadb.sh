# MariaDB: one server with the database `records`. Sourced by ctl, and by recipes/mysql.sh.
#
# The user `connector` may do all in any database whose name begins with `records`, `reader` may only read, both with the
# password `secret`. An acknowledged write survives `kill`.
#
# Variants:
#   password=WORD            of the user `connector`
#   tls[=DIR]                no login without TLS, with the certificates of `ctl certs [DIR]`
#   tls-offered[=DIR]        TLS for those who ask for it
#   tls-certificate=NAME     which of these certificates the server shows, such as expired

title=MariaDB
programs=(mariadbd mariadb-install-db mariadb)
packages=(mariadb-server mariadb-client)
ready_seconds=60
stop_seconds=60

server=(mariadbd)
client=(mariadb)

password=secret
insist=OFF

variant() {
  case $1 in
    password) password=$2 ;;
    tls) insist=ON && tls_variant "$@" ;;
    tls-offered) tls_variant tls "${@:2}" ;;
    *) tls_variant "$@" ;;
  esac
}

# An empty data folder, made once for each version of the server and copied from then on.
template() {
  local version target
  version=$("${server[@]}" --version | md5sum)
  target=$cache/$recipe-data-${version:0:12}
  mkdir -p "$cache"
  (
    flock 9
    [[ ! -d $target ]] || exit 0
    local work
    work=$(mktemp -d "$target.XXXXXX")
    make_data "$work/data" >"$work/log" 2>&1 || { tail -n 5 "$work/log" >&2; fail "$title cannot make a data folder"; }
    mv -T "$work/data" "$target"
    rm -rf "$work"
  ) 9>"$target.lock"
  printf '%s\n' "$target"
}

make_data() {
  mariadb-install-db --no-defaults --user="$(id -un)" --datadir="$1" --auth-root-authentication-method=normal \
    --skip-test-db --skip-name-resolve --innodb-log-file-size=16M
}

# How this server stores the password $1: the words after CREATE USER and ALTER USER.
identified_by() { printf "IDENTIFIED BY '%s'" "$1"; }

prepare() {
  if [[ -n $certificates ]]; then make_certificates "$certificates"; fi
  # A killed server leaves them, and its process may not be reaped yet.
  rm -f "$(socket)" "$(socket).lock"
  [[ -z $(ls -A "$dir/data") ]] || return 0
  local empty
  empty=$(template) || exit
  cp -a --reflink=auto "$empty/." "$dir/data"
  # One statement in each line: run once, at the first start.
  cat >"$dir/first.sql" <<SQL
CREATE DATABASE IF NOT EXISTS records CHARACTER SET utf8mb4;
CREATE USER IF NOT EXISTS connector@'%' $(identified_by "$password");
CREATE USER IF NOT EXISTS reader@'%' $(identified_by secret);
GRANT ALL ON \`records%\`.* TO connector@'%';
GRANT SELECT ON \`records%\`.* TO reader@'%';
SQL
}

build_command() {
  command=(
    "${server[@]}" --no-defaults "--user=$(id -un)" "--datadir=$dir/data" --bind-address=127.0.0.1 "--port=$port"
    "--socket=$(socket)" "--pid-file=$dir/server.pid" --skip-name-resolve --skip-log-bin
    --innodb-flush-log-at-trx-commit=2 --innodb-buffer-pool-size=64M --max-allowed-packet=64M
    "${own_options[@]}" "--init-file=$dir/first.sql"
  )
  if [[ -n $certificates ]]; then
    command+=(
      "--ssl-ca=$certificates/ca.crt" "--ssl-cert=$certificates/$certificate.crt"
      "--ssl-key=$certificates/$certificate.key" "--require-secure-transport=$insist"
    )
  fi
  command+=("${server_options[@]}")
}

own_options=(--innodb-log-file-size=16M)

# A socket's path must be short.
socket() { printf '%s/%s.sock\n' "$runtime" "$recipe-$port"; }

# `ping` succeeds even when the first statements have not run yet.
ready() { [[ $(command_client -e 'SELECT 1') == 1 ]] && reader_is_known; }
reader_is_known() { [[ $(command_client -e "SELECT COUNT(*) FROM mysql.user WHERE user = 'reader'") == 1 ]]; }

# client ARGUMENT...: the server's own command line client, as its administrator, in the database `records`.
command_client() {
  "${client[@]}" --no-defaults "--socket=$(socket)" --user=root --batch --skip-column-names --default-character-set=utf8mb4 \
    --binary-mode records "$@"
}

# password WORD: from now on the user `connector` has this one.
command_password() { command_client -e "ALTER USER connector@'%' $(identified_by "$1")"; }
