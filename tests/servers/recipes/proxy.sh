# The proxy of proxy.js, which spoils a connection on demand. Sourced by ctl.
#
#   ctl proxy start --dir D --port P -- --target HOST:PORT
#   ctl proxy set --dir D latency 50        any command of proxy.js

title='The proxy'
programs=(node)
packages=(nodejs)

# Relative to the instance's folder, because a socket's path must be short.
control=control.sock

build_command() {
  command=(node "$here/proxy.js" --listen "$port" --control "$control" "${server_options[@]}")
}

# A killed proxy leaves its socket, and a new one makes it when all else is up.
prepare() { rm -f "$dir/$control" "$dir/$control.new"; }
ready() { [[ -S $dir/$control ]]; }

command_set() { (cd "$dir" && exec node "$here/proxy.js" --tell "$control" "$@"); }
