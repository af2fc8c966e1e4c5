# DynamoDB: Amazon's own local version, from Maven, on loopback. Sourced by ctl.
#
# Variants:
#   durable    what it acknowledged survives `kill`

title=DynamoDB
packages=(openjdk-17-jdk-headless maven libeatmydata1 curl)
version=2.6.1

# The folder is named for what is fetched, so that whatever is there is complete and right.
sum=$(cat "$here/dynamodb/pom.xml" "$here/dynamodb/Loopback.java" | sha256sum)
unpacked=$cache/dynamodb-$version-${sum:0:12}
keeps=no
ready_seconds=60

variant() {
  case $1 in
    durable) keeps=yes ;;
    *) return 1 ;;
  esac
}

# The server waits for the disk after every write, several times; a killed process loses nothing without that.
without_sync() {
  local library
  for library in /usr/lib/*/libeatmydata.so; do
    if [[ -f $library ]]; then command+=("LD_PRELOAD=$library"); fi
  done
}

build_command() {
  command=(env)
  if [[ $keeps == yes ]]; then without_sync; fi
  mkdir -p "$dir/temporary"
  command+=(
    java -Xms128m -Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "-Djava.io.tmpdir=$dir/temporary"
    "-Dsqlite4java.library.path=$unpacked" -cp "$unpacked:$unpacked/*" Loopback "$port"
  )
  if [[ $keeps == yes ]]; then command+=("$dir/data"); fi
}

ready() { command_client ListTables '{}'; }

is_available() { command -v java >/dev/null && [[ -d $unpacked ]]; }

how_to_get() {
  printf '%s is missing: run "tests/servers/ctl dynamodb install", as root or with a JDK 17 and Maven installed\n' "$title"
}

install() {
  local work
  command -v javac >/dev/null && command -v mvn >/dev/null && [[ -n $(compgen -G '/usr/lib/*/libeatmydata.so') ]] \
    || install_tools
  mkdir -p "$cache"
  (
    flock 9
    [[ ! -d $unpacked ]] || exit 0
    work=$(mktemp -d "$cache/.dynamodb.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    cp "$here/dynamodb/pom.xml" "$work"
    mvn -q -B -f "$work/pom.xml" dependency:copy-dependencies "-DoutputDirectory=$work/jars" >"$work/log" 2>&1 \
      || fail "Maven could not fetch $title: $(tail -n 5 "$work/log")"
    javac -cp "$work/jars/*" -d "$work/jars" "$here/dynamodb/Loopback.java" >"$work/log" 2>&1 \
      || fail "Loopback.java could not be compiled: $(tail -n 5 "$work/log")"
    chmod 755 "$work/jars"
    mv -T "$work/jars" "$unpacked"
  ) 9>"$cache/dynamodb.lock"
}

# `is_available` is about the server, which comes after these.
install_tools() (
  is_available() { command -v javac >/dev/null && command -v mvn >/dev/null; }
  programs=(javac mvn)
  install_packages
)

# client ACTION JSON: one call; the local version wants a signature, and takes any.
command_client() {
  curl --silent --show-error --fail-with-body "http://127.0.0.1:$port/" \
    --header 'content-type: application/x-amz-json-1.0' \
    --header "x-amz-target: DynamoDB_20120810.$1" \
    --header 'authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0' \
    --data "${2:-{\}}"
}
