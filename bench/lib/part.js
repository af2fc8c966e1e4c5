/*
 * What the programs beside this folder have in common: their options, what they print, how they end.
 *
 *   --quick       a tenth of the operations and two rounds: to see that everything works
 *   --rounds N    another number of rounds
 *   --json FILE   also write the results there
 *
 * The exit code says whether everything worked, never whether it was fast.
 */
'use strict'

const fs = require('node:fs')
const { parseArgs } = require('node:util')
const machine = require('./machine')
const { table } = require('./report')

const ROUNDS = 5
const QUICK_ROUNDS = 2

function options () {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      json: { type: 'string' }
    }
  })
  const rounds = values.rounds === undefined ? (values.quick ? QUICK_ROUNDS : ROUNDS) : Number(values.rounds)
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds takes a whole number from 1 on')
  return { quick: values.quick, rounds, json: values.json }
}

/*
 * Runs `measure({ rounds, scaled, say })`, which resolves to { title, versions, method, rows, charts, sides };
 * `sides`, the headings of the two columns that are compared, may be left out. `scaled(count)` is the count to use, less
 * in a quick run.
 */
async function part (name, measure) {
  const { quick, rounds, json } = options()
  const here = machine.describe()
  const scaled = (count) => quick ? Math.ceil(count / 10) : count
  const say = (line) => { if (process.stderr.isTTY) process.stderr.write(`${line}\n`) }
  if (!json) {
    machine.announce(here)
  }
  const result = { name, rounds, quick, machine: here, ...await measure({ rounds, scaled, say }) }
  console.log(`\n${result.title}\n${result.versions.join('; ')}\n${result.method}\n\n${table(result.rows, result.sides)}`)
  if (json) fs.writeFileSync(json, JSON.stringify(result, null, 2))
}

/* Only for a program's last line: nothing may keep a failed measurement running. */
function main (name, measure) {
  part(name, measure).then(
    () => process.exit(0),
    (error) => {
      console.error(`bench/${name}: ${error.stack}`)
      process.exit(1)
    })
}

module.exports = { main }
