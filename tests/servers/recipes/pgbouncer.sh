# PgBouncer in front of a PostgreSQL server of the recipe `postgres`, in transaction mode: each transaction may get another
# of its two server connections. Sourced by ctl.
#
# Whoever comes as `connector` is let in; the login to the server is PgBouncer's own.
#
# Variants:
#   server=PORT              where PostgreSQL is

title=PgBouncer
programs=(pgbouncer psql)
packages=(pgbouncer postgresql-client)

server_port=5432

variant() {
  case $1 in
    server) server_port=$2 ;;
    *) return 1 ;;
  esac
}

build_command() {
  cat >"$dir/pgbouncer.ini" <<INI
[databases]
records = host=127.0.0.1 port=$server_port dbname=records user=connector password=secret pool_size=2
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = any
pool_mode = transaction
server_round_robin = 1
INI
  command=(pgbouncer "$dir/pgbouncer.ini" "${server_options[@]}")
  # It does not run as root. A folder of root's may lead to its own, so that it keeps the right to pass.
  if [[ $UID == 0 ]]; then
    command=(
      setpriv --reuid=nobody --regid=nogroup --clear-groups
      --inh-caps=-all,+dac_override --ambient-caps=-all,+dac_override "${command[@]}"
    )
  fi
}

ready() { port_answers "$port"; }

# client ARGUMENT...: psql through it.
command_client() { psql -h 127.0.0.1 -p "$port" -U connector -d records -AtqX -v ON_ERROR_STOP=1 "$@"; }
