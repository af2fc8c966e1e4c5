/* The addon in each runtime that has Node-API: one program, and what it says. */
'use strict'

const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const { execFile, spawnSync } = require('node:child_process')
const { test } = require('node:test')
const { modules } = require('./harness')
const { ADDON, folder } = require('./connector')

const PROGRAM = path.join(__dirname, 'runtimes/program.cjs')

const RUNTIMES = [
  ...[18, 20, 22, 24, 26].map((version) => ({ name: `Node.js ${version}`, file: `node-${version}/bin/node`, words: [] })),
  // The addon takes it for another.
  { name: 'Node.js 24 under the name of Bun', file: 'node-24/bin/node', words: ['--import', 'data:text/javascript,globalThis.Bun = {}'] },
  { name: 'Bun', file: '@oven/bun-linux-x64/bin/bun', words: ['--no-install'] },
  { name: 'Deno', file: '@deno/linux-x64-glibc/deno', words: ['run', '--allow-all', '--no-lock'] }
]

const USE = [
  '{"version":3,"data":{"text":"é😀","list":[1,null]}} 3',
  'null null',
  '"INVALID_ARGUMENT" "get" "" false true',
  '0',
  '[["set",null],["get",null,1,{"n":1}],["head",null,1],["delete",null],["get",null,-1,null]]',
  '[1,2]',
  '3 "thrown"',
  '"AbortError"',
  '1000 true',
  '"turns" true',
  '100',
  '"CLOSED"',
  '100'
]

const SAID = [
  '"memory"', ...USE,
  '"sqlite"', ...USE,
  '"worker" "close" 0 [{"version":1,"data":{}}]',
  '"worker" "leave" 0 ["left"]',
  '"worker" "exit" 3 []',
  '"worker" "exitWithin" 4 []',
  '"worker" "terminate" 1 ["terminate"]',
  '"the last answer"',
  '"the end"'
]

/* Where the runtimes are, or why not. */
function installed () {
  try {
    return { place: modules('runtimes') }
  } catch (error) {
    return { reason: `the runtimes cannot be installed: ${error.message}` }
  }
}

/* Why a runtime cannot be had, if so. */
function reasonOf ({ file }) {
  if (reason) return reason
  const program = path.join(place, file)
  if (!fs.existsSync(program)) return `npm has left it out; for another try remove ${path.dirname(place)}`
  const { error, status, stderr } = spawnSync(program, ['--version'], { encoding: 'utf8' })
  return status !== 0 && `it does not run here: ${error ? error.message : stderr}`
}

const { place, reason } = installed()

for (const runtime of RUNTIMES) {
  const missing = reasonOf(runtime)
  if (missing && process.env.CI) throw new Error(`${runtime.name} is missing in CI: ${missing}`)
  test(`the addon works in ${runtime.name}`, { skip: missing }, async (t) => {
    const home = folder(t)
    const words = [...runtime.words, PROGRAM, ADDON, home]
    const env = { ...process.env, HOME: home, DENO_DIR: home, DENO_NO_UPDATE_CHECK: '1' }
    const { error, stdout, stderr } = await new Promise((resolve) => {
      execFile(path.join(place, runtime.file), words, { env, timeout: 60000 }, (error, stdout, stderr) => {
        resolve({ error, stdout, stderr })
      })
    })
    assert.deepStrictEqual(stdout.trim().split('\n'), SAID, stderr)
    assert.ifError(error)
  })
}
