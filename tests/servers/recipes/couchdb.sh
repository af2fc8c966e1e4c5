# CouchDB: PouchDB Server stands in for it, which speaks the same protocol with some gaps. Sourced by ctl.
# DSC_TEST_COUCHDB_URL has the tests use a real one instead; see tests/servers/README.md.
#
# Variants:
#   durable            what it acknowledged survives `kill`
#   password[=WORD]    of the user `admin`, who alone makes databases; WORD is `secret` unless given; a wrong one is refused

title='PouchDB Server'
programs=(node npm curl)
packages=(nodejs npm curl)

# The folder is named for what is asked for, so that whatever is there is complete and right.
sum=$(cat "$here"/couchdb/package.json "$here"/couchdb/package-lock.json | sha256sum)
unpacked=$cache/couchdb-${sum:0:12}
keeps=no
password=
ready_seconds=60

variant() {
  case $1 in
    durable) keeps=yes ;;
    password) password=${2:-secret} ;;
    *) return 1 ;;
  esac
}

prepare() {
  # What it was told at run time stays.
  [[ ! -f $dir/config.json ]] || return 0
  if [[ -n $password ]]; then
    printf '{"admins":{"admin":"%s"},"couch_httpd_auth":{"require_valid_user":true,"timeout":600}}\n' "$password"
  else
    printf '{}\n'
  fi >"$dir/config.json"
}

build_command() {
  command=(
    node "$unpacked/node_modules/pouchdb-server/bin/pouchdb-server" --host 127.0.0.1 --port "$port" --config "$dir/config.json"
    --no-color --no-stdout-logs
  )
  if [[ $keeps == yes ]]; then command+=(--dir "$dir/data"); else command+=(--in-memory); fi
}

ready() { curl --silent --output /dev/null "http://127.0.0.1:$port/"; }

is_available() { programs_present && [[ -d $unpacked ]]; }

how_to_get() {
  printf '%s is missing: run "tests/servers/ctl couchdb install" with Node.js and npm installed\n' "$title"
}

install() {
  local work
  programs_present || (is_available() { programs_present; } && install_packages)
  mkdir -p "$cache"
  (
    flock 9
    [[ ! -d $unpacked ]] || exit 0
    work=$(mktemp -d "$cache/.couchdb.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    cp "$here"/couchdb/package*.json "$work"
    (cd "$work" && npm ci --ignore-scripts --no-audit --no-fund) >"$work/log" 2>&1 \
      || fail "npm could not install $title: $(tail -n 5 "$work/log")"
    chmod 755 "$work"
    mv -T "$work" "$unpacked"
    trap - EXIT
  ) 9>"$cache/couchdb.lock"
}

# client METHOD PATH [JSON]
command_client() {
  local login=()
  [[ -z $password ]] || login=(--user "admin:$password")
  curl --silent --show-error "${login[@]}" --request "$1" --header 'content-type: application/json' \
    ${3:+--data-binary "$3"} "http://127.0.0.1:$port$2"
}

# password WORD: from now on it is this one.
command_password() { command_client PUT /_config/admins/admin "\"$1\""; }
