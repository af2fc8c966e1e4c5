# The life of one server process, the same for every recipe. Sourced by ctl.
#
# An instance is a folder: `pid` (first line the process id, second line its start time), `port`, `log`, `settings`
# (what `restart` starts again) and `data/`, which is the server's own.

fail() {
  printf 'ctl: %s\n' "$*" >&2
  exit 1
}

usage_error() {
  printf 'ctl: %s\n' "$*" >&2
  exit 2
}

# wait_until SECONDS COMMAND...
wait_until() {
  local deadline=$((SECONDS + $1 + 1)) nothing status=0
  shift
  # A pipe that says nothing: to wait for it takes no process, as `sleep` does.
  exec {nothing}<> <(:)
  until "$@"; do
    ((SECONDS < deadline)) || { status=1 && break; }
    read -r -t 0.02 -u "$nothing" || true
  done
  exec {nothing}>&-
  return "$status"
}

# Sets `state` and `start_time` of process $1. The start time tells a process from a later one with the same id.
look_at_process() {
  local line fields
  { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
  read -ra fields <<<"${line##*) }"
  state=${fields[0]} start_time=${fields[19]}
}

# Sets `pid`. A zombie counts as gone: it holds no port and no file.
is_running() {
  local recorded
  [[ -f $dir/pid ]] || return 1
  { read -r pid && read -r recorded; } <"$dir/pid" || return 1
  look_at_process "$pid" && [[ $start_time == "$recorded" && $state != [ZX] ]]
}

is_gone() { ! is_running; }
is_stopped_by_signal() { is_running && [[ $state == T ]]; }

# ready, or dead: both end the waiting.
is_settled() { is_gone || ready >/dev/null 2>&1; }

save_settings() {
  printf '%s\n' "$port" >"$dir/port"
  {
    printf 'recipe=%q\nport=%q\nowner=%q\noptions=(' "$recipe" "$port" "$owner"
    ((${#options[@]} == 0)) || printf '%q ' "${options[@]}"
    printf ')\n'
  } >"$dir/settings"
}

load_settings() {
  local wanted=$recipe
  [[ -f $dir/settings ]] || fail "no $recipe was ever started in $dir"
  # shellcheck source=/dev/null
  . "$dir/settings"
  [[ $recipe == "$wanted" ]] || fail "$dir belongs to $recipe, not to $wanted"
}

# port_answers PORT [ADDRESS]
port_answers() { (: <"/dev/tcp/${2:-127.0.0.1}/$1") 2>/dev/null; }

port_is_silent() { ! port_answers "$1"; }

# Takes port $1 for this instance by a lock that the server inherits and that dies with it: two instances never meet on
# a port, and a killed one leaves nothing behind. The lock's file says whose port it is, so that nobody else takes it
# while a killed one waits for its restart. Sets `port_lock`.
take_port() {
  local seconds=${2:-2} file=$runtime/ports/$1 owner_folder=
  mkdir -p "$runtime/ports"
  exec {port_lock}>>"$file"
  # Our own server may still hold it: one that was killed has gone when the last of its threads has. The kernel closes its
  # files one by one, and this one may be closed before the socket is.
  [[ $(<"$file") != "$dir" ]] || seconds=30
  if flock -w "$seconds" "$port_lock"; then
    read -r owner_folder <"$file" || true
    [[ $owner_folder != "$dir" ]] || wait_until "$seconds" port_is_silent "$1" || true
    if [[ -z $owner_folder || $owner_folder == "$dir" || ! -e $owner_folder/settings ]] && ! port_answers "$1"; then
      printf '%s\n' "$dir" >"$file"
      return 0
    fi
  fi
  exec {port_lock}>&-
  return 1
}

# Ports from 32768 on belong to outgoing connections, which might hold one by chance.
choose_port() {
  local attempt
  if [[ -n $port && $port != auto ]]; then
    if ! [[ $port =~ ^[0-9]{4,5}$ ]] || ((port < 1024 || port > 32767)); then
      usage_error "--port $port: give 1024 to 32767, or auto"
    fi
    take_port "$port" || fail "port $port is taken by another program"
    return
  fi
  for attempt in {1..50}; do
    port=$((10000 + RANDOM % 22000))
    if take_port "$port" 0; then return; fi
  done
  fail "found no free port in $attempt attempts"
}

start() {
  is_running && fail "$title already runs in $dir as process $pid"
  is_available || { how_to_get >&2 && exit 3; }
  apply_options
  choose_port
  mkdir -p "$dir/data"
  prepare
  command=()
  build_command
  save_settings

  (cd "$dir" && exec setsid "${command[@]}") </dev/null >>"$dir/log" 2>&1 &
  pid=$!
  disown
  look_at_process "$pid" || fail "$title ended at once: $(last_words)"
  printf '%s\n' "$pid" "$start_time" >"$dir/pid"

  if ! wait_until "${ready_seconds:-60}" is_settled; then
    do_kill
    fail "$title was not ready after ${ready_seconds:-60} s: $(last_words)"
  fi
  is_running || fail "$title ended while starting: $(last_words)"
  [[ -z $owner ]] || end_with_owner
  printf '127.0.0.1:%s\n' "$port"
}

# For hosts that cannot promise to call `stop`: the instance ends when process $owner does.
end_with_owner() {
  local server=$pid owner_started nothing
  look_at_process "$owner" || { do_kill && fail "--owner $owner: there is no such process"; }
  owner_started=$start_time
  (
    exec {port_lock}>&- {nothing}<> <(:)
    while is_running && [[ $pid == "$server" ]]; do
      if ! look_at_process "$owner" || [[ $start_time != "$owner_started" || $state == [ZX] ]]; then
        stop
        break
      fi
      read -r -t 0.25 -u "$nothing" || true
    done
  ) </dev/null >/dev/null 2>&1 &
}

stop() {
  if is_running; then
    do_thaw
    kill -s "${stop_signal:-TERM}" "$pid"
    if ! wait_until "${stop_seconds:-15}" is_gone; then
      printf 'ctl: %s in %s did not stop within %s s and was killed\n' "$title" "$dir" "${stop_seconds:-15}" >&2
      do_kill
    fi
  fi
  rm -f "$dir/pid"
}

do_stop() { stop; }

do_kill() {
  is_running || return 0
  kill -KILL -- "-$pid"
  wait_until 5 is_gone || fail "process $pid of $title outlives SIGKILL"
}

do_freeze() {
  is_running || fail "$title does not run in $dir"
  kill -STOP -- "-$pid"
  wait_until 5 is_stopped_by_signal || fail "process $pid of $title does not stop"
}

do_thaw() {
  is_running || fail "$title does not run in $dir"
  kill -CONT -- "-$pid"
}

do_status() {
  is_running || { printf 'stopped\n' && exit 1; }
  printf 'running pid=%s port=%s dir=%s\n' "$pid" "$(<"$dir/port")" "$dir"
}

do_wipe() {
  [[ -e $dir ]] || return 0
  [[ -f $dir/settings ]] || fail "$dir is no folder of a server started here, so it stays"
  do_kill
  rm -rf "$dir"
}
