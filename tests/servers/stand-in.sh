# A server of ours in Node.js that answers what no server to be had does, and can be told how. Sourced by recipes, which
# set `title` and `stand_in`, the program's path from here.
#
# Commands:
#   set PATH                any path below /stub/ that the program has
# Variants:
#   tls[=DIR]               TLS, with the certificates of `ctl certs [DIR]`
#   tls-certificate=NAME    which of these certificates the server shows, such as expired

programs=(node curl)
packages=(nodejs curl)


variant() {
  case $1 in
    *) tls_variant "$@" ;;
  esac
}

prepare() {
  if [[ -n $certificates ]]; then make_certificates "$certificates"; fi
}

build_command() {
  command=(node "$here/$stand_in" --listen "$port")
  if [[ -n $certificates ]]; then
    command+=(--tls "$certificates/$certificate.crt" "$certificates/$certificate.key")
  fi
}

ready() { command_set report; }

# The certificate may be a bad one on purpose, and this client is not what is tested.
command_set() {
  local scheme=http
  [[ -z $certificates ]] || scheme=https
  curl --silent --show-error --fail --insecure "$scheme://127.0.0.1:$port/stub/$1"
}
