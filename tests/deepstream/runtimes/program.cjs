/* Uses the addon in any runtime: `program.cjs ADDON FOLDER`. What it says is the same in each. */
'use strict'

const path = require('path')
const { AsyncLocalStorage } = require('async_hooks')
const { Worker, isMainThread, parentPort } = require('worker_threads')

const [addon, folder] = process.argv.slice(2)
const Connector = require(addon)

const say = (...words) => console.log(words.map((word) => JSON.stringify(word)).join(' '))
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))
const memory = () => new Connector({ type: 'memory' }, {})

/* What must not be called any more says so. */
function never () {
  say('a callback after the end')
}

async function usePromises (cache) {
  await cache.whenReady()
  await cache.set('a', 3, { text: 'é😀', list: [1, null] })
  say(await cache.get('a'), await cache.head('a'))
  await cache.delete('a')
  say(await cache.get('a'), await cache.head('a'))
  await cache.get('').catch((error) => {
    say(error.code, error.operation, error.key, error.retryable, error instanceof Connector.ConnectorError)
  })
}

async function useCallbacks (cache) {
  const answers = []
  const note = (name) => (...results) => answers.push([name, ...results])
  cache.set('b', 1, { n: 1 }, note('set'))
  cache.get('b', note('get'))
  cache.head('b', note('head'))
  cache.delete('b', note('delete'))
  cache.get('b', note('get'))
  say(answers.length)
  await new Promise((resolve) => cache.head('b', resolve))
  say(answers)
}

/* A callback has the context of its call, and what it throws costs no other its answer; a signal ends a promise. */
async function useInContext (cache) {
  const storage = new AsyncLocalStorage()
  const ask = (n) => storage.run(n, () => new Promise((resolve) => cache.get('d', () => resolve(storage.getStore()))))
  say(await Promise.all([ask(1), ask(2)]))
  const thrown = new Promise((resolve) => process.once('uncaughtException', resolve))
  cache.get('d', () => { throw new Error('thrown') })
  say(await ask(3), (await thrown).message)
  const controller = new AbortController()
  const answer = cache.get('d', { signal: controller.signal })
  controller.abort()
  await answer.catch((error) => say(error.name))
}

/* Each answer comes once and in the order of the calls. */
async function useInOrder (cache) {
  const order = []
  for (let i = 0; i < 500; i++) {
    cache.set('c', i, { i }, () => order.push(i))
    cache.get('c', (error, version, data) => order.push(error === null && version === i && data.i))
  }
  await new Promise((resolve) => cache.head('c', resolve))
  say(order.length, order.every((i, position) => i === position >> 1))
}

/* Callbacks that take long leave the loop its turns. */
async function useAtLength (cache) {
  await cache.set('long', 1, 'x'.repeat(300000))
  let turns = 0
  let left = 20
  const turn = () => { turns++; if (left > 0) setImmediate(turn) }
  setImmediate(turn)
  await new Promise((resolve) => {
    for (let i = 0; i < 20; i++) {
      cache.get('long', () => {
        const until = Date.now() + 6
        while (Date.now() < until);
        if (--left === 0) resolve()
      })
    }
  })
  say('turns', turns >= 5)
}

/* What was accepted is answered before the end, and nothing after it. */
async function useAndClose (cache) {
  let answers = 0
  for (let i = 0; i < 100; i++) cache.set(`${i}`, 1, {}, (error) => { if (error === null) answers++ })
  await cache.close()
  say(answers)
  cache.get('a', (error) => say(error.code))
  await cache.close()
  await pause(10)
  say(answers)
}

async function useAll (options) {
  say(options.type)
  const cache = new Connector(options, {})
  await usePromises(cache)
  await useCallbacks(cache)
  await useInContext(cache)
  await useInOrder(cache)
  await useAtLength(cache)
  await useAndClose(cache)
}

/* A worker that does what it is told: how it ends, and what it said before. */
async function useWorker (task) {
  const worker = new Worker(__filename, { argv: [addon, folder] })
  const said = []
  const ended = new Promise((resolve) => worker.on('exit', resolve))
  worker.on('error', (error) => said.push(String(error)))
  worker.on('message', (message) => {
    said.push(message)
    if (message === 'terminate') worker.terminate()
  })
  worker.postMessage(task)
  say('worker', task, await ended, said)
}

/* In a worker. */
const TASKS = {
  async close () {
    const cache = memory()
    await cache.set('a', 1, {})
    parentPort.postMessage(await cache.get('a'))
    await cache.close()
  },
  async leave () {
    const cache = memory()
    await cache.set('a', 1, {})
    parentPort.postMessage('left')
  },
  async exit () {
    const cache = memory()
    await cache.whenReady()
    cache.get('a', never)
    process.exit(3)
  },
  /* More than one turn has: the first callback ends the worker. */
  async exitWithin () {
    const cache = memory()
    await cache.whenReady()
    cache.get('a', () => process.exit(4))
    for (let i = 0; i < 3000; i++) cache.get('a', never)
  },
  terminate () {
    const cache = memory()
    const again = () => cache.get('a', again)
    again()
    cache.head('a', () => parentPort.postMessage('terminate'))
  }
}

async function main () {
  await useAll({ type: 'memory' })
  await useAll({ type: 'sqlite', path: path.join(folder, 'records.sqlite') })
  for (const task of Object.keys(TASKS)) await useWorker(task)
  process.on('exit', () => say('the end'))
  // The process stays for an answer, and not for a connector.
  const idle = memory()
  await idle.whenReady()
  memory().set('a', 1, {}, () => say('the last answer'))
}

if (isMainThread) main()
else parentPort.once('message', (task) => TASKS[task]())
