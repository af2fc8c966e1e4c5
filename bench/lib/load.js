/*
 * The load: keeps W operations in flight until `count` are done, and says how long that took.
 *
 * Both sides of a comparison get the same load, so what it costs itself pulls every ratio a little towards 1. It is
 * kept small: one callback for each of the W places instead of one for each operation, and the clock is read for every
 * 16th operation alone where more than one is in flight.
 */
'use strict'

const { performance } = require('node:perf_hooks')

const SAMPLE_EVERY = 16

/*
 * `operate(index, callback)` begins the operation of that number; `verify(index, version, data)` throws for a wrong
 * answer. Resolves to { seconds, cpu, p50, p99 }: the last three in microseconds, cpu per operation and for all threads
 * of this process.
 */
function load ({ operate, verify, count, inFlight }) {
  const every = inFlight === 1 ? 1 : SAMPLE_EVERY
  const latencies = new Float64Array(Math.ceil(count / every))
  return new Promise((resolve, reject) => {
    let issued = 0
    let finished = 0
    let samples = 0
    let over = false

    const fail = (error) => {
      over = true
      reject(error instanceof Error ? error : new Error(String(error)))
    }

    function place () {
      let index = 0
      let begun = 0
      const done = (error, version, data) => {
        if (over) return
        if (error) return fail(error)
        if (begun !== 0) latencies[samples++] = performance.now() - begun
        try {
          verify(index, version, data)
        } catch (error) {
          return fail(error)
        }
        finished++
        if (issued < count) next()
        else if (finished === count) finish()
      }
      const next = () => {
        index = issued++
        begun = index % every === 0 ? performance.now() : 0
        operate(index, done)
      }
      return next
    }

    const finish = () => {
      const seconds = (performance.now() - begunAll) / 1000
      const { user, system } = process.cpuUsage(cpuBefore)
      const sorted = latencies.subarray(0, samples).sort()
      const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] * 1000
      resolve({ seconds, cpu: (user + system) / count, p50: at(0.5), p99: at(0.99) })
    }

    const places = Array.from({ length: Math.min(inFlight, count) }, place)
    // The garbage of the other side is not this side's to pay for.
    if (global.gc) global.gc()
    const cpuBefore = process.cpuUsage()
    const begunAll = performance.now()
    for (const next of places) next()
  })
}

module.exports = { load }
