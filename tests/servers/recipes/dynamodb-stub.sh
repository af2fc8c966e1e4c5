# A stand-in for what Amazon's local DynamoDB cannot do: see dynamodb/stub.js. Sourced by ctl.
#
#   ctl dynamodb-stub set --dir D throttle/3
#
# Variants: those of stand-in.sh.

title='The stand-in for DynamoDB'
stand_in=dynamodb/stub.js
# shellcheck source=../stand-in.sh
. "$here/stand-in.sh"
