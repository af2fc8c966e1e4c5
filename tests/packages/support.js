/*
 * What the tests of the packages share. PACKAGES is the folder of the packages that `tests/packages/run` made; with
 * PACKAGES_ALL they are those for a release, and the slow tests run, too.
 */
'use strict'

const assert = require('node:assert')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { execFile, execFileSync, spawnSync } = require('node:child_process')
const { promisify } = require('node:util')

const ROOT = path.join(__dirname, '../..')
const PACKAGES = path.resolve(process.env.PACKAGES || path.join(ROOT, 'target/packages'))
const ALL = Boolean(process.env.PACKAGES_ALL)
const CI = Boolean(process.env.CI && process.env.CI !== 'false')
const VERSION = execFileSync(path.join(ROOT, 'packaging/version'), { encoding: 'utf8' }).trim()

/* An empty folder that goes with the test, or with all tests of the file if it is given `node:test` itself. */
function folder (t) {
  const name = fs.mkdtempSync(path.join(os.tmpdir(), 'connector-packages-'))
  t.after(() => fs.rmSync(name, { recursive: true }))
  return name
}

/* What a package finds on another machine: nothing of this one's variables. */
const { CONNECTOR_ADDON, CONNECTOR_LIBRARY, PYTHONPATH, LD_LIBRARY_PATH, ...CLEAN } = process.env

/* Runs a program and resolves to what it printed; its failure shows all that it said. */
async function run (program, args, { env, ...options } = {}) {
  const settings = { ...options, env: { ...CLEAN, PACKAGES, ...env }, maxBuffer: 1 << 26 }
  try {
    return (await promisify(execFile)(program, args, settings)).stdout
  } catch (error) {
    error.message += `\n${error.stdout}\n${error.stderr}`
    throw error
  }
}

/* The commands of docs/install.md in the block with this name, run in a folder as its reader would. */
function follow (name, cwd, env) {
  const page = fs.readFileSync(path.join(ROOT, 'docs/install.md'), 'utf8')
  const block = page.match(new RegExp('^```sh packages ' + name + '\\n([^]*?)^```$', 'm'))
  assert.ok(block, `docs/install.md has no block "sh packages ${name}"`)
  return run('bash', ['-euo', 'pipefail', '-c', block[1]], { cwd, env })
}

/* Whether a command succeeds; if not the test is skipped, and in CI that is a failure. */
function has (t, what, program, ...args) {
  const there = spawnSync(program, args, { stdio: 'ignore' }).status === 0
  if (!there) {
    if (CI) throw new Error(`${what} is missing in CI`)
    t.skip(`${what} is missing`)
  }
  return there
}

/* The one package whose name is like this. */
function packageOf (pattern) {
  const names = fs.readdirSync(PACKAGES).filter((name) => pattern.test(name))
  assert.strictEqual(names.length, 1, `packages like ${pattern}: ${names.join(', ') || 'none'}`)
  return path.join(PACKAGES, names[0])
}

module.exports = { ALL, PACKAGES, ROOT, VERSION, folder, follow, has, packageOf, run }
