# Valkey: what recipes/redis.sh says holds here too. Sourced by ctl.

# shellcheck source=redis.sh
. "$here/recipes/redis.sh"

title=Valkey
programs=(valkey-server valkey-cli)
packages=(valkey-server valkey-tools)

if programs_present; then
  server=(valkey-server)
  client=(valkey-cli)
else
  # Debian has Valkey only since the suite after bookworm.
  unpacked=$cache/debian-trixie-valkey
  server=("$unpacked/run" valkey-server)
  client=("$unpacked/run" valkey-cli)
fi

is_available() { programs_present || [[ -x $unpacked/run ]]; }

how_to_get() {
  printf '%s is missing: run "tests/servers/ctl valkey install" (Debian, no root needed), or install what has %s\n' \
    "$title" "${programs[*]}"
}

install() { unpack_packages trixie debian-trixie-valkey "${packages[@]}"; }
