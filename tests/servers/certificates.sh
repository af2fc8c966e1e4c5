# Makes the certificates of the TLS tests, good and bad ones, with nothing but openssl. Sourced by ctl.

default_certificates() { printf '%s\n' "$cache/certificates"; }

# The folder with those that a server shall use, if it does TLS, and which one it shows.
certificates=
certificate=server

# tls_variant NAME [VALUE]: the variants that all recipes with TLS have, tls[=DIR] and tls-certificate=NAME.
tls_variant() {
  case $1 in
    tls) certificates=$(realpath -m -- "${2:-$(default_certificates)}") ;;
    tls-certificate) certificate=$2 certificates=${certificates:-$(default_certificates)} ;;
    *) return 1 ;;
  esac
}

# make_certificates DIR
# Leaves DIR alone if it is complete and still valid. Each NAME.crt has its NAME.key (PKCS #8):
#   ca           signs all but `untrusted`
#   server       for localhost, 127.0.0.1 and ::1; also good as a client's, which replication and clusters need
#   client       for a client, CN=client
#   wrong-host   for another host's name
#   expired      like server, but of 2020
#   other-ca     signs `untrusted`, which is otherwise like server
make_certificates() {
  local target=$1
  command -v openssl >/dev/null || fail "openssl is missing: install it to make test certificates"
  certificates_valid "$target" && return
  mkdir -p "$target"
  (
    flock 9
    certificates_valid "$target" && exit
    work=$(mktemp -d "$target/.work.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    cd "$work" || exit
    write_authority_settings
    this_host=DNS:localhost,IP:127.0.0.1,IP:::1
    make_authority ca
    make_authority other-ca
    make_certificate ca server "$this_host" serverAuth,clientAuth
    make_certificate ca client DNS:client clientAuth
    make_certificate ca wrong-host DNS:elsewhere.example serverAuth
    make_certificate ca expired "$this_host" serverAuth -startdate 20200101000000Z -enddate 20200102000000Z
    make_certificate other-ca untrusted "$this_host" serverAuth,clientAuth
    mv -- *.key "$target"
    # The certificate that is looked for comes last: its presence says that the set is complete.
    mv ca.crt other-ca.crt client.crt wrong-host.crt expired.crt untrusted.crt "$target"
    mv server.crt "$target"
  ) 9>"$target/.lock"
}

certificates_valid() { openssl x509 -checkend 86400 -noout -in "$1/server.crt" >/dev/null 2>&1; }

# `openssl ca` is the one command that takes a start date in the past.
write_authority_settings() {
  : >index
  cat >settings <<'CONF'
[ca]
default_ca = authority
[authority]
database = index
new_certs_dir = .
default_md = sha256
default_days = 3650
unique_subject = no
rand_serial = yes
policy = policy
[policy]
commonName = supplied
CONF
}

make_key() { quietly openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

make_authority() {
  make_key "$1.key"
  quietly openssl req -x509 -new -key "$1.key" -sha256 -days 3650 -subj "/CN=$1" -out "$1.crt" \
    -addext 'keyUsage=critical,keyCertSign,cRLSign'
}

# make_certificate AUTHORITY NAME SUBJECT-ALTERNATIVE-NAMES EXTENDED-KEY-USAGE [OPTION...]
make_certificate() {
  make_key "$2.key"
  quietly openssl req -new -key "$2.key" -subj "/CN=$2" -out request
  cat >extensions <<CONF
basicConstraints = CA:FALSE
keyUsage = digitalSignature
extendedKeyUsage = $4
subjectAltName = $3
authorityKeyIdentifier = keyid
CONF
  quietly openssl ca -batch -notext -config settings -cert "$1.crt" -keyfile "$1.key" -in request -out "$2.crt" \
    -extfile extensions "${@:5}"
}

# openssl talks even when all is well.
quietly() { "$@" >said.txt 2>&1 || fail "$*: $(tail -n 3 said.txt)"; }
