# memcached: one server. Sourced by ctl.
#
# Variants:
#   ascii                    ASCII authentication (-Y): user `connector`, password `secret`
#   sasl                     SASL, and so the binary protocol alone (-S): the same user
#   tls[=DIR]                TLS only, with the certificates of `ctl certs [DIR]`
#   tls-client-auth[=DIR]    the same, and clients must have a certificate

title=memcached
programs=(memcached saslpasswd2)
packages=(memcached sasl2-bin libsasl2-modules)

login=
certificates=
verify=0

variant() {
  case $1 in
    ascii | sasl) login=$1 ;;
    tls) certificates=$(realpath -m -- "${2:-$(default_certificates)}") ;;
    tls-client-auth) certificates=$(realpath -m -- "${2:-$(default_certificates)}") verify=2 ;;
    *) return 1 ;;
  esac
}

prepare() {
  if [[ -n $certificates ]]; then make_certificates "$certificates"; fi
  case $login in
    ascii) printf 'connector:secret\n' >"$dir/users" ;;
    sasl)
      printf 'mech_list: plain\nsasldb_path: %s\n' "$dir/sasldb2" >"$dir/memcached.conf"
      printf 'secret' | saslpasswd2 -p -c -a memcached -f "$dir/sasldb2" connector
      ;;
  esac
}

build_command() {
  command=(memcached -u "$(id -un)" -l 127.0.0.1 -p "$port" -U 0 -m 64)
  case $login in
    ascii) command+=(-Y "$dir/users") ;;
    sasl) command=(env "SASL_CONF_PATH=$dir" "${command[@]}" -S) ;;
  esac
  if [[ -n $certificates ]]; then
    command+=(
      -Z -o "ssl_chain_cert=$certificates/server.crt,ssl_key=$certificates/server.key"
      -o "ssl_ca_cert=$certificates/ca.crt,ssl_verify_mode=$verify"
    )
  fi
  command+=("${server_options[@]}")
}

ready() { port_answers "$port"; }

# client LINE...: sends lines of the text protocol, and prints the answers to all of them.
command_client() {
  local line
  exec {server}<>"/dev/tcp/127.0.0.1/$port"
  printf '%s\r\n' "$@" 'mn' >&"$server"
  while IFS= read -r line <&"$server"; do
    line=${line%$'\r'}
    [[ $line != MN ]] || return 0
    printf '%s\n' "$line"
  done
  return 1
}
