# MongoDB's protocol, by another implementation: SecantusDB, one server that is a replica set by itself. MongoDB is in no
# package registry; tests that take a connection string use a real one where DSC_TEST_MONGODB_URL names it.
# Sourced by ctl.
#
# Variants:
#   durable                  every acknowledged write survives `kill`, though not a power failure
#   password[=WORD]          SCRAM: user `connector` with this password, `secret` unless given, and full rights
#   x509                     the user is the client certificate's; with tls-client-auth
#   tls[=DIR]                TLS only, with the certificates of `ctl certs [DIR]`
#   tls-client-auth[=DIR]    the same, and clients must have a certificate
#   tls-certificate=NAME     which of these certificates the server shows, such as expired
#   standalone               no replica set

title=SecantusDB
version=0.5.3-beta.196
programs=(secantusd-rs)
# What it is compiled with, and what makes `durable` quick.
packages=(cmake g++ libeatmydata1)

server=$cache/secantus-mdb-$version/bin/secantusd-rs
ready_seconds=30

password=
with_certificate=
verify=()
standalone=()
durability=()

variant() {
  case $1 in
    durable) durability=(--sync-on-commit) ;;
    password) password=${2:-secret} ;;
    x509) with_certificate=yes ;;
    tls-client-auth)
      tls_variant tls "${@:2}"
      verify=(--tls-require-client-cert)
      ;;
    standalone) standalone=(--standalone) ;;
    *) tls_variant "$@" ;;
  esac
}

is_available() { [[ -x $server ]] && command -v node >/dev/null; }

how_to_get() {
  printf '%s is missing: run "tests/servers/ctl mongodb install", which compiles it (some minutes, with %s)\n' \
    "$title" "${packages[*]}"
}

install() {
  local log=$cache/secantus-mdb.log target=$cache/secantus-mdb-target
  command -v cargo >/dev/null || fail "cargo is missing, which compiles $title"
  if [[ $UID == 0 ]] || ! command -v cmake >/dev/null || ! command -v g++ >/dev/null; then
    # What it is compiled with alone; whether the server is there is seen below.
    (
      programs=(cmake g++)
      is_available() { programs_present; }
      install_packages
    )
  fi
  mkdir -p "$cache"
  (
    flock 9
    is_available && exit
    printf 'compiling %s, which takes some minutes\n' "$title" >&2
    cd "$cache" || exit
    CARGO_TARGET_DIR=$target cargo install secantus-mdb --version "$version" --locked --ignore-rust-version \
      --root "$cache/secantus-mdb-$version" >"$log" 2>&1 || fail "$title could not be compiled: $(tail -n 5 "$log")"
    rm -rf "$target"
  ) 9>"$cache/secantus-mdb.lock"
}

prepare() {
  if [[ -n $certificates ]]; then make_certificates "$certificates"; fi
  # Users are made while nobody has to log in.
  if [[ (-n $password || -n $with_certificate) && ! -e $dir/users ]]; then make_users; fi
}

make_users() {
  local user
  "$server" --host 127.0.0.1 --port "$port" --storage-path "$dir/data" "${storage[@]}" >>"$dir/log" 2>&1 &
  user=$!
  wait_until 30 say_hello || fail "$title was not ready for its users: $(tail -n 5 "$dir/log")"
  if [[ -n $password ]]; then
    node "$here/mongodb.js" "$port" admin \
      '{"createUser": "connector", "pwd": "'"$password"'", "roles": [{"role": "root", "db": "admin"}]}' >/dev/null
  fi
  if [[ -n $with_certificate ]]; then
    node "$here/mongodb.js" "$port" "\$external" \
      '{"createUser": "CN=client", "roles": [{"role": "root", "db": "admin"}]}' >/dev/null
  fi
  kill "$user"
  wait "$user" || true
  : >"$dir/users"
}

storage=(--cache-size 256M --log-file-max 16MB --log-level WARNING)

# With `--sync-on-commit` alone each document waits for the disk; that it has left the process is enough.
without_the_disk() {
  local library
  for library in /usr/lib/*/libeatmydata.so.1; do
    if [[ -e $library ]]; then command=(env "LD_PRELOAD=$library" "${command[@]}"); fi
  done
}

build_command() {
  command=("$server" --host 127.0.0.1 --port "$port" --storage-path "$dir/data" "${storage[@]}" "${durability[@]}" "${standalone[@]}")
  if [[ -n $password || -n $with_certificate ]]; then command+=(--auth); fi
  if [[ -n $certificates ]]; then
    command+=(--tls-cert-file "$certificates/$certificate.crt" --tls-key-file "$certificates/$certificate.key")
    if ((${#verify[@]})); then command+=(--tls-ca-file "$certificates/ca.crt" "${verify[@]}"); fi
  fi
  command+=("${server_options[@]}")
  if ((${#durability[@]})); then without_the_disk; fi
}

ready() { ask admin '{"hello": 1}' >/dev/null; }

say_hello() { node "$here/mongodb.js" "$port" admin '{"hello": 1}' >/dev/null 2>&1; }

ask() {
  if [[ -n $certificates ]]; then
    node "$here/mongodb.js" "$port" "$1" "$2" --tls "$certificates"
  else
    node "$here/mongodb.js" "$port" "$1" "$2"
  fi
}

# client DATABASE COMMAND: sends a command, as JSON, and prints the answer. It does not log in.
command_client() { ask "$@"; }
