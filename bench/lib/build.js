/* Builds what the benchmarks run, into target. All of it does nothing when everything is up to date. */
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { execFileSync } = require('node:child_process')

const ROOT = path.join(__dirname, '..', '..')
const TARGET = path.resolve(process.env.CARGO_TARGET_DIR || path.join(ROOT, 'target'))
const OUTPUT = path.join(TARGET, 'bench')

/* What the static library needs from the system. */
const SYSTEM_LIBRARIES = ['-lpthread', '-ldl', '-lm']

function run (program, options) {
  execFileSync(program, options, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] })
}

/* A program in C of this folder's parent; `withLibrary` links ours. Returns its path. */
function cProgram (name, withLibrary) {
  fs.mkdirSync(OUTPUT, { recursive: true })
  const program = path.join(OUTPUT, name)
  const source = path.join(__dirname, '..', `${name}.c`)
  const options = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-o', program, source]
  if (withLibrary) {
    run('cargo', ['build', '--release', '--quiet', '--lib'])
    const library = path.join(TARGET, 'release', 'libdeepstream_connector.a')
    options.push('-I', path.join(ROOT, 'include'), library, ...SYSTEM_LIBRARIES)
  }
  run(process.env.CC || 'cc', options)
  return program
}

/* An example of the Rust library. Returns the program's path. */
function rustExample (name) {
  run('cargo', ['build', '--release', '--quiet', '--example', name])
  return path.join(TARGET, 'release', 'examples', name)
}

/* The version of our own library. */
function ownVersion () {
  const [, version] = fs.readFileSync(path.join(ROOT, 'Cargo.toml'), 'utf8').match(/^version = "(.*)"$/m)
  return version
}

module.exports = { ROOT, OUTPUT, cProgram, rustExample, ownVersion }
