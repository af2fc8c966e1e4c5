/* Servers to measure against, started and ended by tests/servers/ctl. */
'use strict'

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { execFileSync } = require('node:child_process')

const CTL = path.join(__dirname, '..', '..', 'tests', 'servers', 'ctl')

/* Starts a server of that recipe. It ends with this process at the latest. Returns { host, port, stop() }. */
function start (recipe, ...variants) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), `bench-${recipe}-`))
  const ctl = (...words) => execFileSync(CTL, [recipe, ...words, '--dir', folder], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const address = ctl('start', '--owner', String(process.pid), ...variants).trim()
  const [host, port] = address.split(':')
  return { host, port: Number(port), stop: () => ctl('wipe') }
}

module.exports = { start }
