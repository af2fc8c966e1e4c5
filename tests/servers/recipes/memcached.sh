# memcached: one server. Sourced by ctl.
#
# Variants:
#   kept                     what it holds outlives `end` and `restart`; a crash takes it, as ever
#   ascii                    ASCII authentication (-Y): user `connector`, password `secret`
#   sasl                     SASL, and so the binary protocol alone (-S): the same user
#   tls[=DIR]                TLS only, with the certificates of `ctl certs [DIR]`
#   tls-client-auth[=DIR]    the same, and clients must have a certificate
#   tls-certificate=NAME     which of these certificates the server shows, such as expired

title=memcached
programs=(memcached saslpasswd2)
packages=(memcached sasl2-bin libsasl2-modules)

login=
kept=
verify=0

variant() {
  case $1 in
    ascii | sasl) login=$1 ;;
    kept) kept=yes ;;
    tls-client-auth) verify=2 && tls_variant tls "${@:2}" ;;
    *) tls_variant "$@" ;;
  esac
}

prepare() {
  if [[ -n $certificates ]]; then make_certificates "$certificates"; fi
  case $login in
    ascii) [[ -e $dir/users ]] || set_password secret ;;
    sasl)
      printf 'mech_list: plain\nsasldb_path: %s\n' "$dir/sasldb2" >"$dir/memcached.conf"
      [[ -e $dir/sasldb2 ]] || set_password secret
      ;;
  esac
  # Its own check that time went on counts whole seconds.
  if [[ -e $dir/data/memory.meta ]]; then
    while (($(date +%s) <= $(stat -c %Y "$dir/data/memory.meta") + 1)); do sleep 0.1; done
  fi
}

set_password() {
  case $login in
    ascii) printf 'connector:%s\n' "$1" >"$dir/users" ;;
    sasl) printf '%s' "$1" | saslpasswd2 -p -c -a memcached -f "$dir/sasldb2" connector ;;
  esac
}

build_command() {
  command=(memcached -u "$(id -un)" -l 127.0.0.1 -p "$port" -U 0 -m 64)
  case $login in
    ascii) command+=(-Y "$dir/users") ;;
    sasl) command=(env "SASL_CONF_PATH=$dir" "${command[@]}" -S) ;;
  esac
  [[ -z $kept ]] || command+=(-e "$dir/data/memory")
  if [[ -n $certificates ]]; then
    command+=(
      -Z -o "ssl_chain_cert=$certificates/$certificate.crt,ssl_key=$certificates/$certificate.key"
      -o "ssl_ca_cert=$certificates/ca.crt,ssl_verify_mode=$verify"
    )
  fi
  command+=("${server_options[@]}")
}

ready() { port_answers "$port"; }

# client LINE...: sends lines of the text protocol, and prints the answers to all of them.
command_client() {
  local line lines=("$@")
  [[ $login != ascii ]] || lines=('set auth 0 0 16' 'connector secret' "$@")
  exec {server}<>"/dev/tcp/127.0.0.1/$port"
  printf '%s\r\n' "${lines[@]}" 'mn' >&"$server"
  while IFS= read -r line <&"$server"; do
    line=${line%$'\r'}
    [[ $line != MN ]] || return 0
    printf '%s\n' "$line"
  done
  return 1
}

# end: of its own accord, so that what is `kept` is whole.
command_end() {
  is_running || return 0
  kill -s USR1 "$pid"
  wait_until 15 is_gone || fail "process $pid of $title does not end"
}

# password WORD: from now on the user has this one.
command_password() {
  is_running || fail "$title does not run in $dir"
  set_password "$1"
  # It reads its list of users again about a second after the signal.
  [[ $login != ascii ]] || kill -s HUP "$pid"
}
