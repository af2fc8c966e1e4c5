// Refused operations, and callbacks that throw.
'use strict'

const assert = require('assert')
const test = require('node:test')
const { Connector, modern, classic, call, failure, run } = require('./helper.js')

test('operations_beyond_the_limit_are_refused_through_the_callback', async (t) => {
  const cache = modern(t, { maxInFlight: 10 })
  const answers = await Promise.all(Array.from({ length: 25 }, (_, i) => failure(cache, 'set', `${i}`, 1, {})))
  const refused = answers.filter((error) => error !== null)
  assert.strictEqual(refused.length, 15)
  for (const error of refused) {
    assert.ok(error instanceof Error)
    assert.strictEqual(error.code, 'BUSY')
    assert.strictEqual(error.retryable, true)
    assert.strictEqual(error.applied, 'no')
    assert.match(error.message, /maxInFlight/)
  }
  assert.strictEqual(await failure(cache, 'set', 'a', 1, {}), null)
  const names = Array.from({ length: 11 }, (_, i) => `${i}`)
  // To wait does not help.
  assert.strictEqual((await failure(cache, 'headBulk', names)).code, 'INVALID_ARGUMENT')
  assert.strictEqual((await failure(cache, 'deleteBulk', names)).code, 'INVALID_ARGUMENT')
})

test('operations_after_close_are_refused_through_the_callback', async (t) => {
  const operations = [
    ['get', 'a'], ['set', 'a', 1, 1], ['delete', 'a'], ['head', 'a'], ['headBulk', ['a']], ['deleteBulk', []],
    ['getMany', ['a']], ['setMany', []]
  ]
  for (const options of [{}, { reactorThread: true }]) {
    const cache = modern(t, options)
    const closed = cache.close()
    for (let round = 0; round < 2; round++) {
      let returned = false
      const answers = operations.map(async (args) => {
        const error = await failure(cache, ...args)
        assert.ok(returned)
        assert.strictEqual(error.code, 'CLOSED')
        assert.strictEqual(error.retryable, false)
        assert.strictEqual(error.applied, 'no')
      })
      returned = true
      await Promise.all(answers)
      // The second round is after the end.
      await closed
    }
  }
  const old = classic(t)
  old.close()
  assert.strictEqual((await failure(old, 'set', 'a', { _v: 1, _d: 1 })).code, 'CLOSED')
})

test('a_callback_that_throws_costs_no_other_its_answer', async () => {
  const { status, stdout, stderr } = await run(`
    const cache = memory()
    const uncaught = []
    process.on('uncaughtException', (error) => uncaught.push(error.message))
    let answers = 0
    for (let i = 0; i < 2500; i++) {
      cache.get('name ' + i, () => {
        answers++
        if (i % 500 === 0) throw new Error('thrown by ' + i)
      })
      cache.set('name ' + i, i, {}, () => { answers++ })
    }
    process.on('exit', () => console.log(JSON.stringify({ answers, uncaught })))
  `)
  assert.strictEqual(status, 0, stderr)
  assert.deepStrictEqual(JSON.parse(stdout), {
    answers: 5000,
    uncaught: [0, 500, 1000, 1500, 2000].map((i) => `thrown by ${i}`)
  })
})

test('a_callback_that_throws_ends_a_process_that_does_not_care', async () => {
  const { status, stdout, stderr } = await run(`
    const cache = memory()
    cache.get('a', function theCallback () { throw new Error('nobody caught me') })
    setTimeout(() => console.log('still there'), 2000)
  `)
  assert.strictEqual(status, 1)
  assert.strictEqual(stdout, '')
  assert.match(stderr, /Error: nobody caught me\n\s+at .*theCallback/)
})

test('anything_may_be_thrown', async () => {
  const { status, stdout, stderr } = await run(`
    const cache = memory()
    const uncaught = []
    process.on('uncaughtException', (error) => uncaught.push(String(error)))
    for (const thing of [undefined, null, 5, 'text', false]) cache.get('a', () => { throw thing })
    process.on('exit', () => console.log(uncaught.join()))
  `)
  assert.strictEqual(status, 0, stderr)
  assert.strictEqual(stdout, 'undefined,null,5,text,false\n')
})

test('a_listener_that_throws_costs_nobody_anything', async () => {
  const { status, stdout, stderr } = await run(`
    const cache = memory()
    const uncaught = []
    process.on('uncaughtException', (error) => uncaught.push(error.message))
    cache.on('log', () => { throw new Error('log') })
    cache.on('ready', () => { throw new Error('ready') })
    cache.on('close', () => { throw new Error('close') })
    cache.whenReady().then(() => cache.get('a', (...answer) => {
      cache.close().then(() => setImmediate(() => console.log(JSON.stringify({ answer, uncaught }))))
    }))
  `)
  assert.strictEqual(status, 0, stderr)
  assert.deepStrictEqual(JSON.parse(stdout), { answer: [null, -1, null], uncaught: ['log', 'ready', 'close'] })
})

test('a_promise_that_a_callback_rejects_is_an_unhandled_rejection', async () => {
  const { status, stderr } = await run(`
    memory().get('a', async () => { throw new Error('rejected') })
  `)
  assert.strictEqual(status, 1)
  assert.match(stderr, /Error: rejected/)
})

test('a_version_beyond_the_exact_numbers_is_an_error_not_a_wrong_number', () => {
  // No backend that is always there can be made to hold one; the addon's own words for it.
  const { Deliveries } = require('../deliveries.js')
  const native = require('../native.js')
  const seen = []
  const deliveries = new Deliveries(false, () => {})
  const code = native.errorCodes.indexOf('UNSUPPORTED')
  const value = code * native.failures.CODE
  deliveries.next = () => 'the version is too large'
  deliveries.cells.set([deliveries.expect('get', 'a', (...args) => seen.push(args)), native.deliveries.FAILED, value])
  deliveries.drain(1, '')
  assert.strictEqual(seen.length, 1)
  const [[error]] = seen
  assert.deepStrictEqual([error.code, error.retryable, error.message], ['UNSUPPORTED', false, 'the version is too large'])
})

test('each_part_of_a_failure_reaches_its_callback', () => {
  const { Deliveries } = require('../deliveries.js')
  const native = require('../native.js')
  const { CODE, RETRYABLE, APPLIED_UNKNOWN } = native.failures
  native.errorCodes.slice(1).forEach((code, index) => {
    for (const retryable of [false, true]) {
      for (const applied of ['no', 'unknown']) {
        const seen = []
        const deliveries = new Deliveries(false, () => {})
        deliveries.next = () => 'words'
        const id = deliveries.expect('get', 'a', (error) => seen.push([error.code, error.retryable, error.applied, error.message]))
        const flags = (retryable ? RETRYABLE : 0) + (applied === 'unknown' ? APPLIED_UNKNOWN : 0)
        deliveries.cells.set([id, native.deliveries.FAILED, (index + 1) * CODE + flags])
        deliveries.drain(1, '')
        assert.deepStrictEqual(seen, [[code, retryable, applied, 'words']])
      }
    }
  })
})

test('whether_a_late_write_may_have_been_applied_is_a_property', async (t) => {
  // Nobody is there, so that it is never sent; what was sent to a real server has its promise.
  const cache = modern(t, { type: 'redis', host: '127.0.0.1', port: 1, timeout: 50 })
  const error = await failure(cache, 'set', 'a', 1, {})
  assert.deepStrictEqual([error.code, error.applied], ['TIMEOUT', 'no'])
})

test('what_is_stored_but_no_json_is_corrupt', () => {
  const { Deliveries } = require('../deliveries.js')
  const seen = []
  const deliveries = new Deliveries(false, () => {})
  const good = deliveries.expect('get', 'good', (...args) => seen.push(args))
  const bad = deliveries.expect('get', 'bad', (...args) => seen.push(args))
  deliveries.cells.set([bad, 6, 1, good, 2, 5])
  deliveries.drain(2, 'secret{}')
  assert.strictEqual(seen[0][0].code, 'CORRUPT')
  assert.doesNotMatch(seen[0][0].message, /secret/)
  assert.deepStrictEqual(seen[1], [null, 5, {}])
})

test('a_fatal_problem_reaches_whoever_waits', async () => {
  // A server that refuses us is not to be had here, so this is what the addon tells then.
  const { status, stdout, stderr } = await run(`
    const native = require(require.resolve(${JSON.stringify(require.resolve('../native.js'))}))
    const open = native.open
    let drain, cells
    native.open = (text, ...rest) => {
      [drain, cells] = rest
      return { ...open(text, ...rest), next: () => 'the server refused the password' }
    }
    const tell = (what) => {
      const code = native.errorCodes.indexOf('AUTHENTICATION')
      cells.set([0, what, code * native.failures.CODE])
      drain(1, '')
    }
    const { READY, PROBLEM, FATAL } = native.deliveries
    const modern = memory()
    const waiting = modern.whenReady()
    tell(FATAL)
    waiting.catch((error) => console.log('rejected', error.code, error.fatal))
    modern.whenReady().catch((error) => console.log('rejected', error.code))
    tell(PROBLEM)
    const classic = new Connector({ type: 'memory' })
    tell(PROBLEM)
    classic.on('error', (error) => console.log('error', error.code, error.fatal, error instanceof Error))
    // A classic server exits at an error before it is ready.
    tell(PROBLEM)
    tell(READY)
    tell(PROBLEM)
    tell(FATAL)
    const unheard = new Connector({ type: 'memory' })
    process.on('uncaughtException', (error) => console.log('uncaught', error.code))
    tell(FATAL)
  `, { flags: ['--no-warnings'] })
  assert.strictEqual(stderr, '')
  assert.strictEqual(status, 0)
  assert.deepStrictEqual(stdout.trim().split('\n'), [
    'error AUTHENTICATION false true',
    'error AUTHENTICATION true true',
    'uncaught AUTHENTICATION',
    'rejected AUTHENTICATION true',
    'rejected AUTHENTICATION'
  ])
})

test('errors_have_a_stack_and_a_message', async (t) => {
  const cache = modern(t, { maxInFlight: 1 })
  cache.get('a', () => {})
  const error = await failure(cache, 'get', 'b')
  assert.match(error.stack, /^ConnectorError: 1 operations are in flight/)
  assert.ok(error instanceof Error && !(error instanceof TypeError))
  await call(cache, 'get', 'c')
})

test('construction_fails_as_often_as_one_likes', () => {
  for (let i = 0; i < 1000; i++) assert.throws(() => new Connector({ type: 'memory', timeout: -1 }))
})
