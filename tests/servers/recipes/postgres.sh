# PostgreSQL: one server with the database `records` of the role `connector`, password `secret`. Sourced by ctl.
#
# The superuser is `postgres`, with the same password. Roles that a test may make have logins of their own kind:
# `sslonly` is let in with TLS alone, `certuser` by a certificate with the name `client`, `md5user` by an MD5 password,
# `plain` by a password in plain text.
#
# Variants:
#   durable                  fsync, as a server has it by default; without it a write survives `kill` all the same
#   password=WORD            of `connector`
#   tls[=DIR]                TLS as well, with the certificates of `ctl certs [DIR]`
#   tls-certificate=NAME     which of these certificates the server shows, such as expired
#   small-disk[=SIZE]        a tablespace `small` of `connector` on a disk of that size, 12m unless given; needs root

title=PostgreSQL
programs=(postgres psql)
packages=(postgresql)

stop_signal=INT
ready_seconds=60
# Debian keeps its programs where a PATH does not lead; the newest version counts.
for folder in /usr/lib/postgresql/*/bin; do [[ ! -x $folder/postgres ]] || PATH=$folder:$PATH; done

password=secret
small_disk=
durability=(-c fsync=off -c full_page_writes=off)

variant() {
  case $1 in
    durable) durability=() ;;
    password) password=$2 ;;
    small-disk) small_disk=${2:-12m} ;;
    *) tls_variant "$@" ;;
  esac
}

# PostgreSQL does not run as root. A folder of root's may lead to its own, so that it keeps the right to pass.
set_user() {
  as_user=(env LC_ALL=C.UTF-8)
  [[ $UID == 0 ]] || return 0
  as_user=(
    setpriv --reuid=postgres --regid=postgres --clear-groups
    --inh-caps=-all,+dac_override --ambient-caps=-all,+dac_override "${as_user[@]}"
  )
}

give() { [[ $UID != 0 ]] || chown -R postgres:postgres "$@"; }

prepare() {
  set_user
  if [[ -n $certificates ]]; then
    make_certificates "$certificates"
    cp "$certificates/$certificate.crt" "$dir/server.crt"
    cp "$certificates/$certificate.key" "$dir/server.key"
    cp "$certificates/ca.crt" "$dir/ca.crt"
    chmod 600 "$dir/server.key"
    give "$dir"/server.* "$dir/ca.crt"
  fi
  # Left by a killed server; whether that is gone was seen to, and a zombie holds nothing.
  rm -f "$dir/data/postmaster.pid" "$dir"/.s.PGSQL.*
  [[ ! -f $dir/data/PG_VERSION ]] || return 0
  give "$dir"
  printf '%s\n' secret >"$dir/superuser"
  "${as_user[@]}" initdb -D "$dir/data" -U postgres -E UTF8 --locale=C.UTF-8 -A scram-sha-256 --pwfile="$dir/superuser" \
    --no-sync >"$dir/initdb.log" 2>&1 || fail "initdb failed: $(tail -n 3 "$dir/initdb.log")"
  cat >"$dir/data/pg_hba.conf" <<'RULES'
local     all  all                    trust
hostssl   all  sslonly   127.0.0.1/32 scram-sha-256
hostnossl all  sslonly   127.0.0.1/32 reject
hostssl   all  certuser  127.0.0.1/32 cert map=certificates
host      all  certuser  127.0.0.1/32 reject
host      all  md5user   127.0.0.1/32 md5
host      all  plain     127.0.0.1/32 password
host      all  all       127.0.0.1/32 scram-sha-256
RULES
  printf 'certificates client certuser\n' >>"$dir/data/pg_ident.conf"
  printf '%s\n' "CREATE ROLE connector LOGIN PASSWORD '${password//\'/\'\'}'" 'CREATE DATABASE records OWNER connector' \
    | "${as_user[@]}" postgres --single -D "$dir/data" -c fsync=off postgres >"$dir/single.log" 2>&1 \
    || fail "the database could not be made: $(tail -n 3 "$dir/single.log")"
}

build_command() {
  # Shared memory in files of its own folder: what a killed server leaves goes with that.
  command=(
    "${as_user[@]}" "$(command -v postgres)" -c dynamic_shared_memory_type=mmap -D "$dir/data" -p "$port" -c listen_addresses=127.0.0.1
    -c "unix_socket_directories=$dir" -c shared_buffers=32MB -c max_connections=200 -c log_min_messages=warning
    "${durability[@]}"
  )
  if [[ -n $certificates ]]; then
    command+=(-c ssl=on -c "ssl_cert_file=$dir/server.crt" -c "ssl_key_file=$dir/server.key" -c "ssl_ca_file=$dir/ca.crt")
  fi
  if [[ -n $small_disk ]]; then
    mkdir -p "$dir/small"
    # Seen by the server alone, so that nothing is left when it ends.
    # shellcheck disable=SC2016  # for the inner shell
    command=(
      unshare --mount bash -c 'mount -t tmpfs -o "size=$0" small "$1" && chown postgres "$1" && shift && exec "$@"'
      "$small_disk" "$dir/small" "${command[@]}"
    )
  fi
  command+=("${server_options[@]}")
}

ready() {
  command_client -c 'SELECT 1' || return 1
  [[ -z $small_disk ]] || small_tablespace
}

small_tablespace() {
  [[ -z $(command_client -c "SELECT 1 FROM pg_tablespace WHERE spcname = 'small'") ]] || return 0
  command_client -c "CREATE TABLESPACE small OWNER connector LOCATION '$dir/small'"
}

# client ARGUMENT...: psql as the superuser, in the database `records`; without arguments it reads statements.
command_client() { psql -h "$dir" -p "$port" -U postgres -d records -AtqX -v ON_ERROR_STOP=1 "$@"; }

# password WORD: from now on that of `connector` is this one.
command_password() { command_client -c "ALTER ROLE connector PASSWORD '${1//\'/\'\'}'"; }

# Each connection is served by a process with a process group of its own.
server_processes() {
  local child
  printf '%s\n' "$pid"
  for child in /proc/[0-9]*/stat; do
    local line fields
    { read -r line <"$child"; } 2>/dev/null || continue
    read -ra fields <<<"${line##*) }"
    [[ ${fields[1]} != "$pid" ]] || basename "${child%/stat}"
  done
}

# Sets `signalled`.
signal_all() {
  local process
  mapfile -t signalled < <(server_processes)
  # The first is the parent: it starts nothing new meanwhile.
  for process in "${signalled[@]}"; do kill -s "$1" "$process" 2>/dev/null || true; done
}

all_gone() {
  local process
  for process in "${signalled[@]}"; do
    if look_at_process "$process" && [[ $state != [ZX] ]]; then return 1; fi
  done
}

do_kill() {
  is_running || return 0
  signal_all KILL
  wait_until 5 all_gone || fail "processes of $title outlive SIGKILL: ${signalled[*]}"
}

do_freeze() {
  is_running || fail "$title does not run in $dir"
  # Twice: one that was just being started when the parent stopped.
  signal_all STOP
  signal_all STOP
  wait_until 5 is_stopped_by_signal || fail "process $pid of $title does not stop"
}

do_thaw() {
  is_running || fail "$title does not run in $dir"
  signal_all CONT
}
