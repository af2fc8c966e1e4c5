# Three nodes of Cassandra in one datacentre, as one instance. Sourced by ctl.
#
# Variants: those of recipes/cassandra.sh.
#
# The nodes have the addresses 127.0.0.1 to 127.0.0.3 and the same port. Commands besides those of nodes.sh:
#   client [STATEMENT...]     at the first node that runs
#   node NUMBER [STATEMENT...]   at that node, from 0

# shellcheck source=cassandra.sh
. "$here/recipes/cassandra.sh"

title='Cassandra cluster'
programs+=(setsid)
ready_seconds=240
stop_seconds=60
nodes=3
# A third of the ring each.
tokens=(-9223372036854775808 -3074457345618258603 3074457345618258602)

eval "one_$(declare -f command_client)"

prepare() {
  local number
  if [[ -n $certificates ]]; then make_certificates "$certificates"; fi
  take_node_port "$dir/storage-port"
  storage_port=$taken seed=127.0.0.1:$storage_port
  for ((number = 0; number < nodes; number++)); do
    at_node "$number"
    prepare_node "$dir/nodes/$number"
    printf '%s\n' "$port" >"$dir/nodes/$number/port"
    build_node_command "$dir/nodes/$number"
    node_command "$number" "${command[@]}"
    # Nodes that join at once get into each other's way.
    if ((number > 0)); then await_node "$number"; fi
    # A node gives up that hears nothing from the others for two seconds.
    touch "$dir/nodes/$number/starting"
  done
  address=127.0.0.1
}

node_address() { printf '127.0.0.%s\n' "$(($1 + 1))"; }
at_node() { address=$(node_address "$1") token=${tokens[$1]}; }

# await_node NUMBER: it begins when the one before it answers, unless it was there before.
await_node() {
  local run=$dir/nodes/$1/run
  {
    printf 'until [[ -e data/tables ]] || (: <"/dev/tcp/127.0.0.%s/%s") 2>/dev/null; do sleep 0.2; done\n' "$1" "$port"
    cat "$run"
  } >"$run.new"
  mv "$run.new" "$run"
}

build_command() { command=("$here/nodes-run" "$dir"); }

command_node() {
  at_node "$1"
  one_command_client "${@:2}"
}

command_client() {
  local number
  for ((number = 0; number < nodes; number++)); do
    node_runs "$number" && break
  done
  command_node "$number" "$@"
}

ready() {
  local number
  for ((number = 0; number < nodes; number++)); do
    [[ $(command_node "$number" "SELECT COUNT(*) FROM system.peers_v2") == "$((nodes - 1))" ]] || return 1
  done
  rm -f "$dir"/nodes/*/starting
}
