# Redis Cluster: three primaries and three replicas as one instance. Sourced by ctl.
#
# Variants: those of recipes/redis.sh.
#
# Commands besides those of nodes.sh:
#   client ARGUMENT...        redis-cli -c at the first node that runs
#   node NUMBER ARGUMENT...   redis-cli at that node
#   owner SLOT                the number of the primary that has the slot
#   replica NUMBER            the number of a replica of that primary
#   reshard FROM TO COUNT     moves slots from one primary to another

# shellcheck source=redis.sh
. "$here/recipes/redis.sh"
# shellcheck source=../nodes.sh
. "$here/nodes.sh"

title='Redis Cluster'
ready_seconds=60
nodes=6
programs+=(setsid)

# One node is what the recipe for one server makes of these.
eval "one_$(declare -f prepare)"
eval "one_$(declare -f build_command)"
eval "one_$(declare -f command_client)"

prepare() {
  local number
  one_prepare
  take_node_ports "$nodes"
  for ((number = 0; number < nodes; number++)); do prepare_node "$number"; done
}

prepare_node() {
  local command=() extra=(
    --cluster-enabled yes --cluster-config-file nodes.conf --cluster-port "${node_bus_ports[$1]}"
    --cluster-node-timeout 1000 --cluster-announce-ip 127.0.0.1 --repl-diskless-sync-delay 0
  )
  [[ -z $certificates ]] || extra+=(--tls-cluster yes)
  [[ -z $user ]] || extra+=(--masteruser "$user" --masterauth "$password")
  # The files of the users are the instance's; the data are the node's.
  local port=${node_ports[$1]}
  one_build_command
  node_command "$1" "${command[@]}" "${extra[@]}" --dir "$dir/nodes/$1/data"
}

build_command() { command=("$here/nodes-run" "$dir"); }

command_node() {
  local port
  port=$(port_of "$1")
  one_command_client "${@:2}"
}

command_client() {
  local number
  for ((number = 0; number < nodes; number++)); do
    node_runs "$number" && break
  done
  command_node "$number" -c "$@" | sed '/^-> Redirected to slot/d'
}

command_password() {
  local number
  for ((number = 0; number < nodes; number++)); do command_node "$number" CONFIG SET requirepass "$1"; done
}

command_owner() {
  local id
  id=$(command_client CLUSTER NODES | awk -v slot="$1" '
    { for (i = 9; i <= NF; i++) if (split($i, range, "-") && range[1] <= slot && slot <= range[range[2] == "" ? 1 : 2]) print $2 }')
  number_of "$id"
}

command_replica() {
  local own
  own=$(command_node "$1" CLUSTER MYID)
  number_of "$(command_client CLUSTER NODES | awk -v own="$own" '$4 == own && $3 ~ /slave/ && $3 !~ /fail/ { print $2; exit }')"
}

command_reshard() {
  local from to
  from=$(command_node "$1" CLUSTER MYID)
  to=$(command_node "$2" CLUSTER MYID)
  # After a change the nodes need a moment to hear of it, and nothing moves before.
  wait_until 30 nodes_agree || fail "the nodes do not agree about their slots"
  command_node 0 --cluster reshard "127.0.0.1:$(port_of 0)" --cluster-yes \
    --cluster-from "$from" --cluster-to "$to" --cluster-slots "$3"
}

nodes_agree() {
  [[ $(command_node 0 --cluster check "127.0.0.1:$(port_of 0)") == *'All nodes agree about slots configuration'* ]]
}

# The number of the node at an address as CLUSTER NODES has it.
number_of() {
  local number wanted=${1%@*}
  wanted=${wanted##*:}
  for ((number = 0; number < nodes; number++)); do
    if [[ $(port_of "$number") == "$wanted" ]]; then
      printf '%s\n' "$number"
      return
    fi
  done
  fail "no node has the address '$1'"
}

ready() {
  local number
  for ((number = 0; number < nodes; number++)); do
    [[ $(command_node "$number" PING) == PONG ]] || return 1
  done
  [[ -e $dir/created ]] || create || return 1
  for ((number = 0; number < nodes; number++)); do node_is_settled "$number" || return 1; done
  nodes_agree
}

create() {
  local number addresses=()
  for ((number = 0; number < nodes; number++)); do addresses+=("127.0.0.1:$(port_of "$number")"); done
  command_node 0 --cluster create "${addresses[@]}" --cluster-replicas 1 --cluster-yes >>"$dir/log" 2>&1 || return 1
  touch "$dir/created"
}

node_is_settled() {
  [[ $(command_node "$1" CLUSTER INFO) == *cluster_state:ok* ]] || return 1
  (($(command_node "$1" CLUSTER NODES | grep -c ' connected') == nodes)) || return 1
  command_node "$1" INFO replication | grep -qE 'role:master|master_link_status:up'
}
