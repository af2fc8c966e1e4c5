/*
 * A cache in a process of its own, because two of them could not be told apart in one heap. The other end is
 * cache-processes.js; a message is [name of a function below, its arguments], the answer [error, result].
 */
'use strict'

const { load } = require('./load')
const records = require('./records')
const sides = require('./sides')

/* Record N has the content N % DOCUMENTS: no more than the fewest records there are. */
const DOCUMENTS = 1000
const pool = records.make(DOCUMENTS)

/* How many records are read after a measurement of sets. */
const READ_BACK = 1000

const FILL_IN_FLIGHT = 1000

/* How many names are made in advance; operations beyond begin again with the first. */
const PLANNED = 200000

let connector
/* The name and the content's number of each operation. */
let plan
/* What the records that were written last have as their version; others have a lower one. */
let revision = 0

function memory () {
  // Twice: what the first collection finalises, the second one frees.
  global.gc()
  global.gc()
  const { heapUsed, external, rss } = process.memoryUsage()
  return { heap: heapUsed, external, rss }
}

/* Makes the cache; returns its name and version. */
async function open (side, options) {
  const made = sides[side](options)
  connector = made.connector
  await connector.whenReady()
  return made.title
}

/*
 * Writes `count` records as a server does: each name and each document come from a message, and belong to nobody else.
 * Returns what the memory was before and after.
 */
async function fill (count) {
  const before = memory()
  await load({
    operate: (index, callback) => {
      connector.set(records.nameOf(index), revision, JSON.parse(pool.texts[index % DOCUMENTS]), callback)
    },
    verify: () => {},
    count,
    inFlight: FILL_IN_FLIGHT
  })
  const after = memory()
  plan = scattered(count)
  return { before, after }
}

/*
 * The records in an order that has nothing to do with that in which they were made, or the processor's caches would do
 * the work: a step without a common factor with the count visits each of them once. The names are strings of their own,
 * in the order of their use, however few records there are: the price of reading them is the same for all counts.
 */
function scattered (count) {
  const common = (a, b) => b === 0 ? a : common(b, a % b)
  let step = Math.floor(count * 0.6180339887)
  while (common(step, count) !== 1) step++
  const keys = Array.from({ length: PLANNED }, (_, index) => index * step % count)
  return { names: keys.map(records.nameOf), documents: keys.map((key) => key % DOCUMENTS) }
}

function get (count, inFlight, right = (found) => found <= revision) {
  const { names, documents } = plan
  return load({
    operate: (index, callback) => connector.get(names[index % PLANNED], callback),
    verify: (index, found, data) => {
      if (!right(found) || data.id !== documents[index % PLANNED]) {
        throw new Error(`wrong answer for ${names[index % PLANNED]}: version ${found}, ${JSON.stringify(data)}`)
      }
    },
    count,
    inFlight
  })
}

/* Writes a new revision, and reads some of it back. */
async function set (count, inFlight) {
  const { names, documents } = plan
  revision++
  const result = await load({
    operate: (index, callback) => {
      connector.set(names[index % PLANNED], revision, pool.contents[documents[index % PLANNED]], callback)
    },
    verify: () => {},
    count,
    inFlight
  })
  const some = Math.min(READ_BACK, count)
  await get(some, some, (found) => found === revision)
  return result
}

const functions = { open, fill, get, set }

process.on('message', async ([name, ...values]) => {
  try {
    process.send([null, await functions[name](...values)])
  } catch (error) {
    process.send([error.stack, null])
  }
})
