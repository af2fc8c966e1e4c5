# CouchDB's own answers where PouchDB Server has others: see couchdb/stub.js. Sourced by ctl.
#
#   ctl couchdb-stub set --dir D status/429/3
#
# Variants: those of stand-in.sh.

title='The stand-in for CouchDB'
stand_in=couchdb/stub.js
# shellcheck source=../stand-in.sh
. "$here/stand-in.sh"
