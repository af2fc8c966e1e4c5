/*
 * Tests that need servers of tests/servers: without them they are skipped, visibly, and in CI that is an error.
 *
 *   const { describe, test, missing } = require('./needing')('redis')
 *
 * `missing` says why the tests are skipped, or is false.
 */
'use strict'

const path = require('node:path')
const { describe, test } = require('node:test')
const { spawnSync } = require('node:child_process')

const CTL = path.join(__dirname, '../servers/ctl')

module.exports = (...recipes) => {
  const missing = recipes.map(reason).find(Boolean) || false
  if (missing && process.env.CI) throw new Error(`a server is missing in CI: ${missing}`)
  const skipping = (make) => (name, ...rest) => {
    const body = rest.pop()
    return make(name, missing ? { ...rest[0], skip: missing } : { ...rest[0] }, body)
  }
  return { describe: skipping(describe), test: skipping(test), missing }
}

/* Why servers of a recipe cannot be had, if so. */
function reason (recipe) {
  const { status, stdout } = spawnSync(CTL, [recipe, 'available'], { encoding: 'utf8' })
  return status !== 0 && stdout.trim()
}
