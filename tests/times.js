/* Where the time of a test run went: times.js FOLDER OUTPUT reads what tests/run and the test program left in the folder,
 * writes it all to one JSON file, and prints the phases, the slowest promises and what each backend took, and why
 * tests of the test program failed. Ends with 1 if a phase failed. */
'use strict'

const fs = require('node:fs')
const path = require('node:path')

const [folder, output] = process.argv.slice(2)

const read = (name) => {
  const file = path.join(folder, name)
  return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : ''
}

const phases = read('phases').split('\n').filter(Boolean).map((line) => {
  const [name, began, ended, status] = line.split('\t')
  return { name, began: Number(began), seconds: round(ended - began), passed: status === '0' }
})
const tests = ['together.json', 'alone.json'].flatMap((name) => JSON.parse(read(name) || '[]'))

const promises = sums(tests.filter((test) => test.promise), (test) => test.promise)
const backends = sums(tests, (test) => test.group)
const began = Math.min(...phases.map((phase) => phase.began))
const total = round(Math.max(...phases.map((phase) => phase.began + phase.seconds)) - began)
for (const phase of phases) phase.began = round(phase.began - began)

fs.writeFileSync(output, JSON.stringify({ seconds: total, phases, promises, backends, tests }, null, 1))

print('Seconds of each phase, and when it began', phases.sort((a, b) => a.began - b.began).map(
  (phase) => [phase.seconds, `${phase.name}, from ${phase.began}${phase.passed ? '' : ': FAILED'}`]))
print('The ten slowest promises, over all backends and hosts', rows(promises).slice(0, 10))
print('The ten slowest tests', tests.sort((a, b) => b.seconds - a.seconds).slice(0, 10).map((test) => [test.seconds, test.name]))
print('Seconds by backend, many at a time', rows(backends))

for (const test of tests.filter((test) => !test.passed)) {
  console.log(`\nfailed: ${test.name}, after ${test.seconds} s\n${shortened(test.fault)}`)
}
const failed = phases.filter((phase) => !phase.passed).map((phase) => phase.name)
console.log(`\n${total} s in all; the same in ${path.relative('.', output)}`)
console.log(failed.length ? `FAILED: ${failed.join(', ')}` : 'All passed.')
process.exitCode = failed.length ? 1 : 0

/* The beginning of a fault, which says what it is, and of its lines no more than is read at a glance. */
function shortened (fault) {
  return fault.split('\n').slice(0, 12).map((line) => line.slice(0, 200)).join('\n')
}

function round (seconds) {
  return Math.round(seconds * 10) / 10
}

/* Seconds and number of those that have a name in common. */
function sums (list, nameOf) {
  const all = {}
  for (const test of list) {
    const sum = all[nameOf(test)] ??= { seconds: 0, tests: 0 }
    sum.seconds = Math.round((sum.seconds + test.seconds) * 1000) / 1000
    sum.tests++
  }
  return all
}

function rows (all) {
  return Object.entries(all)
    .sort(([, a], [, b]) => b.seconds - a.seconds)
    .map(([name, { seconds, tests }]) => [seconds, `${name}, ${tests} tests`])
}

function print (title, lines) {
  if (!lines.length) return
  console.log(`\n${title}`)
  for (const [seconds, text] of lines) console.log(`${seconds.toFixed(1).padStart(8)}  ${text}`)
}
