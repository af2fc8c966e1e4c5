# A stand-in for IronCache: ironcache.js, which says what it does. Sourced by ctl.
#
# Variants:
#   durable                  what was acknowledged survives `kill`
#   token=WORD               the OAuth token; `right` unless given
#   limit=BYTES              the largest item; 1 MB unless given, as the service has it
#   tls[=DIR]                TLS only, with the certificates of `ctl certs [DIR]`
#   tls-certificate=NAME     which of these certificates it shows, such as expired
#
# The project's id is `project`.

title='The stand-in for IronCache'
programs=(node)
packages=(nodejs)

log=()
limit=()
token=right

variant() {
  case $1 in
    durable) log=(--log "$dir/data/log") ;;
    token) token=$2 ;;
    limit) limit=(--limit "$2") ;;
    *) tls_variant "$@" ;;
  esac
}

prepare() {
  if [[ -n $certificates ]]; then make_certificates "$certificates"; fi
}

build_command() {
  command=(node "$here/ironcache.js" --listen "$port" --token "$token" "${limit[@]}" "${log[@]}")
  [[ -z $certificates ]] \
    || command+=(--cert "$certificates/$certificate.crt" --key "$certificates/$certificate.key")
  command+=("${server_options[@]}")
}

ready() { port_answers "$port"; }

# client METHOD PATH [BODY]: one request, with the token; prints the body of the answer.
command_client() {
  IRONCACHE_TOKEN=$token IRONCACHE_TLS=$certificates node "$here/ironcache.js" --ask "$port" -- "$@"
}

# token WORD: from now on it is this one. The server forgets it when it ends.
command_token() { command_client PUT /stub/token "$1"; }
