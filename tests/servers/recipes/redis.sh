# Redis: one server. Sourced by ctl.
#
# Variants:
#   durable                  every acknowledged write survives `kill`
#   password[=WORD]          of the default user; WORD is `secret` unless given
#   acl                      no default user; `connector` may do all, `reader` may only read, both with the password
#   tls[=DIR]                TLS only, with the certificates of `ctl certs [DIR]`
#   tls-client-auth[=DIR]    the same, and clients must have a certificate
#   tls-certificate=NAME     which of these certificates the server shows, such as expired

title=Redis
programs=(redis-server redis-cli)
packages=(redis-server redis-tools)

server=(redis-server)
client=(redis-cli)

durability=(--appendonly no)
password=
user=
client_certificates=no

variant() {
  case $1 in
    durable) durability=(--appendonly yes --appendfsync always) ;;
    password) password=${2:-secret} ;;
    acl) user=connector password=${password:-secret} ;;
    tls-client-auth) client_certificates=yes && tls_variant tls "${@:2}" ;;
    *) tls_variant "$@" ;;
  esac
}

prepare() {
  if [[ -n $certificates ]]; then make_certificates "$certificates"; fi
  if [[ -n $user ]]; then
    printf 'user default off\nuser connector on >%s ~* &* +@all\nuser reader on >%s ~* &* +@read +@connection\n' \
      "$password" "$password" >"$dir/users.acl"
  fi
}

build_command() {
  command=("${server[@]}" --bind 127.0.0.1 --dir "$dir/data" --save "" --enable-debug-command local "${durability[@]}")
  if [[ -n $certificates ]]; then
    command+=(
      --port 0 --tls-port "$port" --tls-auth-clients "$client_certificates" --tls-replication yes
      --tls-cert-file "$certificates/$certificate.crt" --tls-key-file "$certificates/$certificate.key"
      --tls-ca-cert-file "$certificates/ca.crt"
    )
  else
    command+=(--port "$port")
  fi
  if [[ -n $user ]]; then
    command+=(--aclfile "$dir/users.acl")
  elif [[ -n $password ]]; then
    command+=(--requirepass "$password" --masterauth "$password")
  fi
  command+=("${server_options[@]}")
}

ready() { [[ $(command_client PING) == PONG ]]; }

# client ARGUMENT...: the server's own command line client, connected and logged in.
command_client() {
  local connection=(-h 127.0.0.1 -p "$port")
  # The certificate may be a bad one on purpose, and this client is not what is tested.
  [[ -z $certificates ]] \
    || connection+=(--tls --insecure --cert "$certificates/client.crt" --key "$certificates/client.key")
  [[ -z $user ]] || connection+=(--user "$user")
  if [[ -n $password ]]; then
    REDISCLI_AUTH=$password "${client[@]}" "${connection[@]}" "$@"
  else
    "${client[@]}" "${connection[@]}" "$@"
  fi
}

# password WORD: from now on it is this one. The server forgets it when it ends.
command_password() { command_client CONFIG SET requirepass "$1"; }
