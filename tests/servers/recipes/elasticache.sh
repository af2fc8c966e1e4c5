# The discovery of a memcached cluster of ElastiCache: a stub (discovery.js) that names nodes. Sourced by ctl.
#
#   ctl elasticache start --dir D nodes=localhost:11211,localhost:11212
#   ctl elasticache nodes --dir D localhost:11211 ...    from now on it names these
#
# Variants:
#   nodes=HOST:PORT,...      what it names at first
#   tls[=DIR]                TLS only, with the certificates of `ctl certs [DIR]`

title="ElastiCache's discovery (a stub)"
programs=(node)
packages=(nodejs)

nodes=

variant() {
  case $1 in
    nodes) nodes=$2 ;;
    tls) tls_variant "$@" ;;
    *) return 1 ;;
  esac
}

prepare() {
  if [[ -n $certificates ]]; then make_certificates "$certificates"; fi
  # None at first is possible, until `nodes` names some.
  [[ -e $dir/data/nodes ]] || printf '1\n%s\n' "${nodes//,/ }" >"$dir/data/nodes"
}

build_command() {
  command=(node "$here/discovery.js" --listen "$port" --nodes "$dir/data/nodes")
  [[ -z $certificates ]] || command+=(--cert "$certificates/server.crt" --key "$certificates/server.key")
}

ready() { port_answers "$port"; }

# In one step, so that no answer has half of it.
command_nodes() {
  local version
  version=$(head -n 1 "$dir/data/nodes")
  printf '%s\n%s\n' "$((version + 1))" "$*" >"$dir/data/nodes.new"
  mv "$dir/data/nodes.new" "$dir/data/nodes"
}

# client LINE...: sends lines, and prints the first line of the answer to each.
command_client() {
  local line
  exec {server}<>"/dev/tcp/127.0.0.1/$port"
  for line in "$@"; do
    printf '%s\r\n' "$line" >&"$server"
    IFS= read -r line <&"$server"
    printf '%s\n' "${line%$'\r'}"
  done
}
