# Several servers as one instance: they live and die together, and each can be hurt by itself. Sourced by recipes.
#
# A recipe calls `take_node_ports COUNT` in `prepare`, writes the command of each node by `node_command`, and starts
# `nodes-run`. Each node has a folder of its own, `nodes/NUMBER` from 0, with `port`, `bus-port`, `pid`, `log`, `data/`.

# Sets `node_ports` and `node_bus_ports`, the same after a restart; the first is the instance's own port.
take_node_ports() {
  local number
  node_ports=() node_bus_ports=()
  for ((number = 0; number < $1; number++)); do
    mkdir -p "$dir/nodes/$number/data"
    if ((number == 0)); then
      node_ports+=("$port")
      printf '%s\n' "$port" >"$dir/nodes/0/port"
    else
      take_node_port "$dir/nodes/$number/port"
      node_ports+=("$taken")
    fi
    take_node_port "$dir/nodes/$number/bus-port"
    node_bus_ports+=("$taken")
  done
}

# Takes the port that file $1 holds, or another one; sets `taken`.
take_node_port() {
  local attempt
  if [[ -s $1 ]]; then
    taken=$(<"$1")
    take_port "$taken" || fail "port $taken is taken by another program"
    return
  fi
  for attempt in {1..50}; do
    taken=$((10000 + RANDOM % 22000))
    if take_port "$taken" 0; then
      printf '%s\n' "$taken" >"$1"
      return
    fi
  done
  fail "found no free port in $attempt attempts"
}

# node_command NUMBER COMMAND...
node_command() {
  { printf 'exec' && printf ' %q' "${@:2}" && printf '\n'; } >"$dir/nodes/$1/run"
}

node_count() { find "$dir/nodes" -mindepth 1 -maxdepth 1 -type d | wc -l; }
port_of() { cat "$dir/nodes/$1/port"; }
signal_node() { kill "-$1" "$(<"$dir/nodes/$2/pid")"; }
node_runs() { kill -0 "$(<"$dir/nodes/$1/pid")" 2>/dev/null; }
node_is_gone() { ! node_runs "$1"; }
node_answers() { node_runs "$1" && port_answers "$(port_of "$1")" "$(node_address "$1")"; }
# A recipe may replace it.
node_address() { printf '127.0.0.1\n'; }

# kill-node, freeze-node, thaw-node, start-node NUMBER; port NUMBER
command_kill-node() { signal_node KILL "$1" && wait_until 20 node_is_gone "$1"; }
command_freeze-node() { signal_node STOP "$1"; }
command_thaw-node() { signal_node CONT "$1"; }
command_start-node() {
  node_runs "$1" && fail "node $1 runs already"
  touch "$dir/nodes/$1/starting"
  wait_until "$ready_seconds" node_answers "$1" || fail "node $1 does not answer: $(tail -n 5 "$dir/nodes/$1/log")"
  rm "$dir/nodes/$1/starting"
}
command_port() { port_of "$1"; }

last_words() { tail -n 5 "$dir/log" "$dir"/nodes/*/log 2>/dev/null; }
