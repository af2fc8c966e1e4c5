# Cassandra: one node. Sourced by ctl.
#
# Variants:
#   durable                  every acknowledged write survives `kill`
#   password                 logins are checked; the superuser `cassandra` has the password `cassandra`
#   tls[=DIR]                TLS only, with the certificates of `ctl certs [DIR]`
#   tls-client-auth[=DIR]    the same, and clients must have a certificate
#   tls-certificate=NAME     which of these certificates the server shows, such as wrong-host
#
# Words that begin with -D go to the Java machine.

# shellcheck source=../nodes.sh
. "$here/nodes.sh"

title=Cassandra
programs=(java node)
packages=(openjdk-17-jre-headless nodejs)
ready_seconds=120

version=5.0.9
jars=$cache/cassandra-$version
commitlog=$'periodic\ncommitlog_sync_period: 10000ms'
authenticator=AllowAllAuthenticator authorizer=AllowAllAuthorizer
client_certificates=false
# Another node has another address and the same ports, and a place of its own on the ring.
address=127.0.0.1
seed=
token=

variant() {
  case $1 in
    durable) commitlog=batch ;;
    password) authenticator=PasswordAuthenticator authorizer=CassandraAuthorizer ;;
    tls-client-auth) client_certificates=true && tls_variant tls "${@:2}" ;;
    *) tls_variant "$@" ;;
  esac
}

is_available() { programs_present && [[ -d $jars ]]; }

how_to_get() {
  printf '%s is missing: run "tests/servers/ctl cassandra install" (it needs Java 17 and Maven; as root it gets them too)\n' "$title"
}

# The server is nothing but its jars, which Maven gets.
install() {
  local work log=$runtime/cassandra-install.log
  if ! command -v java >/dev/null || ! command -v mvn >/dev/null; then
    (
      packages=(openjdk-17-jre-headless maven)
      programs=(java mvn)
      is_available() { programs_present; }
      install_packages
    )
  fi
  mkdir -p "$cache" "$runtime"
  (
    flock 9
    [[ ! -d $jars ]] || exit 0
    work=$(mktemp -d "$cache/.cassandra.XXXXXX")
    if ! mvn --batch-mode --quiet --file "$here/cassandra/pom.xml" dependency:copy-dependencies \
      "-DoutputDirectory=$work" >"$log" 2>&1; then
      rm -rf "$work"
      fail "Maven could not get Cassandra: $(tail -n 5 "$log")"
    fi
    chmod 755 "$work"
    mv -T "$work" "$jars"
  ) 9>"$cache/cassandra.lock"
}

prepare() {
  if [[ -n $certificates ]]; then make_certificates "$certificates"; fi
  take_node_port "$dir/storage-port"
  storage_port=$taken
  prepare_node "$dir"
}

# prepare_node FOLDER: its settings.
prepare_node() {
  local dir=$1
  mkdir -p "$dir/tmp" "$dir/data"
  write_settings >"$dir/cassandra.yaml"
}

write_settings() {
  cat <<YAML
cluster_name: test
num_tokens: 1
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: "${seed:-$address:$storage_port}"
listen_address: $address
rpc_address: $address
storage_port: $storage_port
ssl_storage_port: 0
start_native_transport: true
native_transport_port: $port
data_file_directories: ["$dir/data/tables"]
commitlog_directory: $dir/data/commitlog
hints_directory: $dir/data/hints
saved_caches_directory: $dir/data/saved_caches
cdc_raw_directory: $dir/data/cdc_raw
commitlog_sync: $commitlog
commitlog_segment_size: 32MiB
commitlog_disk_access_mode: legacy
auto_snapshot: false
hinted_handoff_enabled: false
concurrent_reads: 16
concurrent_writes: 16
authenticator: $authenticator
authorizer: $authorizer
# What is changed holds at once.
credentials_validity: 0ms
roles_validity: 0ms
permissions_validity: 0ms
YAML
  [[ -z $token ]] || printf 'initial_token: %s\n' "$token"
  # A node by itself waits for nobody but its own disk, and takes as long as that does.
  [[ -n $seed ]] || printf '%s_request_timeout: 20s\n' read write range
  if [[ -n $certificates ]]; then
    cat "$certificates/$certificate.key" "$certificates/$certificate.crt" >"$dir/server.pem"
    cat <<YAML
client_encryption_options:
  enabled: true
  optional: false
  require_client_auth: $client_certificates
  ssl_context_factory:
    class_name: org.apache.cassandra.security.PEMBasedSslContextFactory
  keystore: $dir/server.pem
  truststore: $certificates/ca.crt
YAML
  fi
}

build_command() { build_node_command "$dir"; }

# build_node_command FOLDER: fills `command`.
build_node_command() {
  local name dir=$1
  command=(
    java "-javaagent:$jars/jamm-0.4.0.jar" -Xms384m -Xmx384m -Xss512k -XX:+UseSerialGC -XX:TieredStopAtLevel=1
    -XX:+ExitOnOutOfMemoryError "-Djava.io.tmpdir=$dir/tmp" "-Djna.tmpdir=$dir/tmp"
    "-Dcassandra.config=file://$dir/cassandra.yaml" "-Dcassandra.storagedir=$dir/data" "-Dcassandra.logdir=$dir/data"
    "-Dlogback.configurationFile=$here/cassandra/logback.xml"
    -Dcassandra.skip_wait_for_gossip_to_settle=0 "-Dcassandra.ring_delay_ms=$([[ -n $seed ]] && echo 2000 || echo 1)"
    -Dcassandra.superuser_setup_delay_ms=0 -Dcassandra.auth_bcrypt_gensalt_log2_rounds=4
    -Djdk.attach.allowAttachSelf=true -Dio.netty.tryReflectionSetAccessible=true
  )
  # What Cassandra's own start script opens on Java 17.
  for name in java.base/jdk.internal.misc java.base/jdk.internal.ref java.base/sun.nio.ch java.base/java.lang.ref \
    java.management.rmi/com.sun.jmx.remote.internal.rmi java.rmi/sun.rmi.registry java.rmi/sun.rmi.server \
    java.sql/java.sql jdk.unsupported/sun.misc jdk.compiler/com.sun.tools.javac.file jdk.attach/sun.tools.attach; do
    command+=(--add-exports "$name=ALL-UNNAMED")
  done
  for name in java.base/java.{lang,lang.module,lang.reflect,util,io,nio} java.base/sun.nio.ch \
    java.base/jdk.internal.{loader,ref,reflect,math,module,util.jar} jdk.management/com.sun.management.internal \
    jdk.compiler/com.sun.tools.javac; do
    command+=(--add-opens "$name=ALL-UNNAMED")
  done
  command+=("${server_options[@]}" -cp "$jars/*" org.apache.cassandra.service.CassandraDaemon)
}

# It listens when it is ready; the superuser comes a little later.
ready() {
  (: <"/dev/tcp/$address/$port") 2>/dev/null && command_client "SELECT key FROM system.local" >/dev/null
}

# client [STATEMENT...]: carries out statements, or those on standard input, one in each line, and prints the rows.
command_client() {
  CQL_HOST=$address CQL_USER=cassandra CQL_PASSWORD=cassandra CQL_TLS=$certificates \
    CQL_CERT=${certificates:+$certificates/client.crt} CQL_KEY=${certificates:+$certificates/client.key} \
    node "$here/cassandra/cql.js" "$port" "$@"
}
