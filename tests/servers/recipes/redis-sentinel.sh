# Redis Sentinel: three sentinels (nodes 0 to 2), a primary and two replicas (nodes 3 to 5) as one instance. Sourced by ctl.
#
# Variants: those of recipes/redis.sh; what they say of logins and TLS holds for the sentinels too. The sentinels' ACL user is
# `watcher`, where the servers' is `connector`. And:
#   patient                  the sentinels replace no primary, however long it is away
#
# The sentinels know the primary as `records`. Commands besides those of nodes.sh:
#   client ARGUMENT...        redis-cli at the primary
#   node NUMBER ARGUMENT...   redis-cli at that node
#   primary                   the number of the primary, as the first sentinel that runs has it

# shellcheck source=redis.sh
. "$here/recipes/redis.sh"
# shellcheck source=../nodes.sh
. "$here/nodes.sh"

title='Redis Sentinel'
ready_seconds=60
sentinels=3
nodes=6
programs+=(setsid)

down_after=500

eval "one_$(declare -f variant)"
eval "one_$(declare -f prepare)"
eval "one_$(declare -f build_command)"
eval "one_$(declare -f command_client)"

variant() {
  case $1 in
    patient) down_after=600000 ;;
    *) one_variant "$@" ;;
  esac
}

prepare() {
  local number
  one_prepare
  take_node_ports "$nodes"
  for ((number = 0; number < sentinels; number++)); do prepare_sentinel "$number"; done
  for ((; number < nodes; number++)); do prepare_server "$number"; done
}

prepare_server() {
  local command=() port=${node_ports[$1]} extra=(--repl-diskless-sync-delay 0 --replica-announce-ip 127.0.0.1)
  # Sentinels write into the configuration who replicates whom, so it is a file, and the first time alone.
  local configuration=$dir/nodes/$1/redis.conf
  one_build_command
  [[ -z $user ]] || extra+=(--masteruser "$user" --masterauth "$password")
  if [[ ! -e $configuration ]]; then
    : >"$configuration"
    (($1 == sentinels)) || printf 'replicaof 127.0.0.1 %s\n' "${node_ports[sentinels]}" >"$configuration"
  fi
  node_command "$1" "${command[0]}" "$configuration" "${command[@]:1}" "${extra[@]}" --dir "$dir/nodes/$1/data"
}

prepare_sentinel() {
  local configuration=$dir/nodes/$1/sentinel.conf port=${node_ports[$1]}
  node_command "$1" "${server[@]}" "$configuration" --sentinel
  [[ ! -e $configuration ]] || return 0
  begin_after_replicas "$1"
  {
    printf '%s\n' 'bind 127.0.0.1' "dir $dir/nodes/$1/data" 'sentinel announce-ip 127.0.0.1'
    printf 'sentinel monitor records 127.0.0.1 %s 2\n' "${node_ports[sentinels]}"
    printf 'sentinel %s records %s\n' down-after-milliseconds "$down_after" failover-timeout 3000 parallel-syncs 1
    if [[ -n $certificates ]]; then
      printf '%s\n' 'port 0' "tls-port $port" "tls-auth-clients $client_certificates" 'tls-replication yes' \
        "tls-cert-file $certificates/$certificate.crt" "tls-key-file $certificates/$certificate.key" \
        "tls-ca-cert-file $certificates/ca.crt"
    else
      printf 'port %s\n' "$port"
    fi
    if [[ -n $user ]]; then
      printf 'sentinel auth-user records %s\nuser default off\nuser watcher on >%s ~* &* +@all\n' "$user" "$password"
      printf 'sentinel sentinel-user watcher\n'
    elif [[ -n $password ]]; then
      printf 'requirepass %s\n' "$password"
    fi
    [[ -z $password ]] || printf 'sentinel auth-pass records %s\nsentinel sentinel-pass %s\n' "$password" "$password"
  } >"$configuration"
}

# Sentinels ask who replicates whom only every ten seconds, so the first time they begin when all is as it shall be.
begin_after_replicas() {
  local run=$dir/nodes/$1/run question
  printf -v question '%q ' "$here/ctl" "$recipe" node --dir "$dir" "$sentinels" INFO replication
  {
    printf 'until %s | grep -c state=online | grep -qx 2; do sleep 0.05; done\n' "$question"
    cat "$run"
  } >"$run.new"
  mv "$run.new" "$run"
}

build_command() { command=("$here/nodes-run" "$dir"); }

command_node() {
  local port
  port=$(port_of "$1")
  [[ -z $user ]] || (($1 >= sentinels)) || local user=watcher
  one_command_client "${@:2}"
}

command_primary() {
  local number address
  for ((number = 0; number < sentinels; number++)); do
    node_runs "$number" && break
  done
  address=$(command_node "$number" SENTINEL GET-MASTER-ADDR-BY-NAME records | tail -n 1)
  for ((number = sentinels; number < nodes; number++)); do
    if [[ $(port_of "$number") == "$address" ]]; then
      printf '%s\n' "$number"
      return
    fi
  done
  fail "no node has the port '$address'"
}

command_client() {
  local number
  number=$(command_primary)
  command_node "$number" "$@"
}

command_password() {
  local number
  for ((number = sentinels; number < nodes; number++)); do
    command_node "$number" CONFIG SET requirepass "$1"
  done
}

ready() {
  local number primary
  for ((number = 0; number < nodes; number++)); do
    [[ $(command_node "$number" PING) == PONG ]] || return 1
  done
  for ((number = 0; number < sentinels; number++)); do
    [[ $(command_node "$number" SENTINEL CKQUORUM records) == 'OK 3'* ]] || return 1
    command_node "$number" INFO sentinel | grep -q 'status=ok.*slaves=2,sentinels=3' || return 1
  done
  primary=$(command_primary) || return 1
  command_node "$primary" INFO replication | grep -c state=online | grep -qx 2
}
