# Gets servers from Debian, onto the system or into the cache folder. Sourced by ctl.

programs_present() {
  local program
  for program in "${programs[@]}"; do
    command -v "$program" >/dev/null || return 1
  done
}

explain_packages() {
  printf '%s is missing: run "tests/servers/ctl %s install" as root, or install what has %s (Debian: %s)\n' \
    "$title" "$recipe" "${programs[*]}" "${packages[*]}"
}

# Installs the recipe's packages for the whole system, and keeps them from starting a service of their own.
install_packages() {
  if [[ $UID != 0 ]] || ! command -v apt-get >/dev/null; then
    explain_packages >&2
    exit 3
  fi
  mkdir -p "$runtime"
  (
    flock 9
    if [[ ! -e /usr/sbin/policy-rc.d ]]; then
      trap 'rm -f /usr/sbin/policy-rc.d' EXIT
      printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
      chmod +x /usr/sbin/policy-rc.d
    fi
    log=$runtime/install.log
    apt_install "${packages[@]}" >"$log" 2>&1 \
      || { apt-get update -qq && apt_install "${packages[@]}"; } >"$log" 2>&1 \
      || fail "apt-get could not install ${packages[*]}: $(tail -n 5 "$log")"
  ) 9>"$runtime/install.lock"
  is_available || fail "${packages[*]} installed, yet ${programs[*]} cannot be found"
}

apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=120 "$@"
}

# unpack_packages SUITE NAME PACKAGE...
# Unpacks packages of another Debian suite, with all they depend on, into $cache/NAME, from the mirror that this system
# already uses. The system's own packages are not touched, so this needs no root.
# Run a program of it with: $cache/NAME/run PROGRAM ARGUMENT...
unpack_packages() {
  local suite=$1 root=$cache/$2 work mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  shift 2
  [[ ! -x $root/run ]] || return 0
  # shellcheck disable=SC2016  # apt-get fills this in
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 2>/dev/null | head -n 1) || true
  [[ -n $mirror && -f $keyring ]] || fail "this system has no Debian mirror, so $title must be installed by hand: ${programs[*]}"

  mkdir -p "$cache"
  work=$(mktemp -d "$cache/unpack.XXXXXX")
  mkdir -p "$work"/apt/{lists/partial,archives/partial} "$work/root"
  : >"$work/apt/status"
  printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$suite" >"$work/apt/sources.list"
  cat >"$work/apt/apt.conf" <<CONF
Dir::Etc::SourceList "$work/apt/sources.list";
Dir::Etc::SourceParts "-";
Dir::Etc::PreferencesParts "-";
Dir::State "$work/apt";
Dir::State::Lists "$work/apt/lists";
Dir::State::Status "$work/apt/status";
Dir::Cache "$work/apt";
Dir::Cache::Archives "$work/apt/archives";
Acquire::Languages "none";
APT::Sandbox::User "";
APT::Install-Recommends "false";
Debug::NoLocking "true";
CONF
  if ! (
    export APT_CONFIG=$work/apt/apt.conf
    apt-get update -qq && apt-get install -y -qq --download-only "$@"
  ) >"$work/log" 2>&1; then
    tail -n 5 "$work/log" >&2
    rm -rf "$work"
    fail "$* of Debian $suite could not be downloaded"
  fi
  local archive
  for archive in "$work"/apt/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$archive" | tar -x -C "$work/root" --keep-directory-symlink --no-same-owner -f -
  done
  write_runner "$work/root/run"
  if [[ ! -e $root ]]; then mv -T "$work/root" "$root"; fi
  rm -rf "$work"
}

# The unpacked programs need the C library they came with, so its loader starts them.
write_runner() {
  cat >"$1" <<'RUN'
#!/usr/bin/env bash
# Runs a program of this folder with the libraries of this folder: run PROGRAM ARGUMENT...
set -euo pipefail
root=$(dirname "$(readlink -f "$0")")
for loader in "$root"/usr/lib/*/ld-linux-*.so.* "$root"/lib/*/ld-linux-*.so.*; do [[ -f $loader ]] && break; done
for folder in usr/sbin usr/bin usr/libexec; do [[ -x $root/$folder/$1 ]] && break; done
libraries=$(basename "$(dirname "$loader")")
exec "$loader" --library-path "$root/usr/lib/$libraries:$root/lib/$libraries" "$root/$folder/$1" "${@:2}"
RUN
  chmod +x "$1"
}
