// The addon's unsafe code under valgrind. V8 makes errors of its own there, so only those with our code in their stack count.
'use strict'

const test = require('node:test')
const assert = require('node:assert')
const fs = require('fs')
const os = require('os')
const path = require('path')
const { spawnSync } = require('child_process')

const present = spawnSync('valgrind', ['--version']).status === 0
const skip = present || process.env.CI ? false : 'valgrind is missing (Debian: apt-get install valgrind)'

/** The reports in a log: runs of lines that an empty one ends. */
function reports (log) {
  return log.split('\n').map((line) => line.replace(/^==\d+== ?/, '')).join('\n').split(/\n\s*\n/)
}

test('no memory error has our code in its stack', { skip, timeout: 300_000 }, () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'valgrind-'))
  const file = path.join(folder, 'log')
  const script = path.join(__dirname, 'valgrind.script.js')
  const run = spawnSync('valgrind', [
    '--error-limit=no', '--undef-value-errors=yes', `--log-file=${file}`, process.execPath, '--jitless', script
  ], { encoding: 'utf8' })
  const log = fs.readFileSync(file, 'utf8')
  fs.rmSync(folder, { recursive: true })
  assert.strictEqual(run.stdout, 'all was done\n', run.stderr)
  assert.match(log, /ERROR SUMMARY/)
  const ours = reports(log).filter((report) => /deepstream-connector\.node/.test(report) &&
    /^\s*(Invalid|Conditional jump|Use of uninit|Mismatched|Source and destination|Syscall param|Jump to)/m.test(report))
  assert.deepStrictEqual(ours, [])
})
