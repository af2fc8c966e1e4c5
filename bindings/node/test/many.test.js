// Operations on many names with one answer.
'use strict'

const assert = require('assert')
const test = require('node:test')
const { inspect, promisify } = require('util')
const native = require('../native.js')
const { Deliveries } = require('../deliveries.js')
const { GET_MANY } = require('../many.js')
const { Connector, modern, classic, call, failure, run } = require('./helper.js')

/** With the engine on the event loop, and with a thread of its own. */
const PLACES = [{ reactorThread: false }, { reactorThread: true }]

const entries = (count, data = (i) => ({ i })) => {
  return Array.from({ length: count }, (_, i) => ({ name: `${i}`, version: i, data: data(i) }))
}
const names = (count) => entries(count).map(({ name }) => name)

for (const place of PLACES) {
  test(`many_are_stored_and_read_in_the_order_of_their_names (reactorThread: ${place.reactorThread})`, async (t) => {
    const cache = modern(t, place)
    const records = [{ name: 'a', version: 1, data: { x: 1 } }, { name: 'b', version: 2, data: null }]
    assert.strictEqual(await cache.setMany(records), undefined)
    const [a, b] = records.map(({ version, data }) => ({ version, data }))
    assert.deepStrictEqual(await cache.getMany(['b', 'none', 'a', 'b']), [b, null, a, b])
    assert.deepStrictEqual(await call(cache, 'getMany', ['none', 'a']), [null, [null, a]])
    assert.deepStrictEqual(await call(cache, 'setMany', records), [null])
    assert.deepStrictEqual(await promisify(cache.getMany).call(cache, ['a']), [a])
    assert.strictEqual(cache.getMany(['a'], () => {}), undefined)
    assert.deepStrictEqual(await cache.getMany([]), [])
    assert.strictEqual(await cache.setMany([]), undefined)
  })
}

test('a_version_of_minus_one_is_no_miss_among_many', async (t) => {
  const cache = modern(t)
  await cache.setMany([{ name: 'a', version: -1, data: null }])
  assert.deepStrictEqual(await cache.getMany(['a', 'b']), [{ version: -1, data: null }, null])
  assert.deepStrictEqual(await cache.headBulk(['a', 'b']), { versions: { a: -1 }, missing: ['b'] })
})

test('many_have_their_place_among_single_operations', async (t) => {
  const cache = modern(t)
  cache.set('a', 1, 'one')
  const first = cache.getMany(['a', 'b'])
  cache.setMany([
    { name: 'a', version: 2, data: 'two' }, { name: 'b', version: 1, data: '' }, { name: 'a', version: 3, data: 'three' }
  ])
  const second = cache.get('a')
  cache.delete('b')
  const third = cache.getMany(['a', 'b'])
  assert.deepStrictEqual(await first, [{ version: 1, data: 'one' }, null])
  assert.deepStrictEqual(await second, { version: 3, data: 'three' })
  assert.deepStrictEqual(await third, [{ version: 3, data: 'three' }, null])
})

test('classic_values_are_stored_and_read_as_many', async (t) => {
  const cache = classic(t)
  const values = [{ _v: 3, _d: { x: 1 } }, ['any'], 'text', null]
  await cache.setMany(values.map((value, i) => ({ name: `${i}`, value })))
  assert.deepStrictEqual(await cache.getMany(['0', '1', '2', '3', '4']), [...values, null])
  assert.deepStrictEqual(await cache.get('1'), ['any'])
  await assert.rejects(cache.setMany([{ name: 'a', version: 1, data: {} }]), { code: 'INVALID_ARGUMENT' })
})

test('long_lists_may_be_changed_at_once', async (t) => {
  const cache = modern(t)
  const given = entries(10000)
  const stored = cache.setMany(given)
  for (const entry of given.splice(0)) entry.data.i = 'changed'
  await stored
  const list = names(10000)
  const answer = cache.getMany(list)
  list.length = 0
  assert.deepStrictEqual(await answer, entries(10000).map(({ version, data }) => ({ version, data })))
})

test('documents_of_many_and_of_single_answers_do_not_mix', async (t) => {
  const cache = modern(t)
  const texts = ['small', 'ü', 'x'.repeat(20000), '', '東'.repeat(70000), 'y'.repeat(300000), '\ufffd\u0000']
  const data = (i) => texts[i % texts.length] + i
  await cache.setMany(entries(300, data))
  const all = names(300)
  const answers = await Promise.all([
    cache.getMany(all), ...all.map((name) => cache.get(name)), cache.headBulk(all), cache.getMany([...all, 'none'])
  ])
  const expected = entries(300, data).map(({ version, data }) => ({ version, data }))
  assert.deepStrictEqual(answers[0], expected)
  assert.deepStrictEqual(answers.slice(1, 301), expected)
  assert.deepStrictEqual(Object.values(answers[301].versions), expected.map(({ version }) => version))
  assert.deepStrictEqual(answers[302], [...expected, null])
})

test('entries_that_are_none_are_refused_and_nothing_is_stored', async (t) => {
  const [cache, old] = [modern(t), classic(t)]
  const good = { name: 'good', version: 1, data: {} }
  const cyclic = {}
  cyclic.self = cyclic
  const wrong = [
    ['abc', /^the entries are of type string; give a list such as /], [null, /^the entries are null; give /],
    [{ ...good }, /^the entries are of type object; give /], [new Set([good]), /^the entries are of type object; give /],
    [[good, 'b'], /^entry 1 is of type string; give an object such as /], [[good, null], /^entry 1 is null; give /],
    [[good, ['b', 1, {}]], /^entry 1 is a list; give /], [[good, undefined], /^entry 1 is undefined; give /],
    [[good, { version: 1, data: {} }], /^entry 1: the name is undefined; give a string$/],
    [[{ ...good, name: 5 }, good], /^entry 0: the name is the number 5; give /],
    [[good, { ...good, version: 1.5 }], /^entry 1: the version is the number 1.5; give a whole number /],
    [[good, { ...good, version: '1' }], /^entry 1: the version is of type string; give /],
    [[good, { ...good, version: 2 ** 53 }], /^entry 1: the version is /],
    [[good, { name: 'b', data: {} }], /^entry 1: the version is undefined; give /],
    [[good, { name: 'b', version: 1 }], /^entry 1: the data cannot be written as JSON; give /],
    [[good, { ...good, data: cyclic }], /^entry 1: the data cannot be written as JSON: /],
    [[good, { ...good, data: 5n }], /^entry 1: the data cannot be written as JSON: /],
    [[good, { ...good, name: '' }], /key|name/], [[good, { ...good, name: '\ud800' }], /name/],
    [[good, { ...good, name: 'x'.repeat(65537) }], /key|name/]
  ]
  for (const [list, message] of wrong) {
    const expected = { code: 'INVALID_ARGUMENT', operation: 'setMany', retryable: false, applied: 'no', message }
    await assert.rejects(cache.setMany(list), expected)
    const error = await failure(cache, 'setMany', list)
    assert.throws(() => { throw error }, expected)
    assert.ok(!('results' in error) && !('key' in error))
  }
  await assert.rejects(old.setMany([{ name: 'a', value: 1 }, { name: 'b', value: undefined }]), { message: /^entry 1: the data / })
  assert.deepStrictEqual([await cache.get('good'), await old.get('a')], [null, null])
})

test('lists_of_names_that_are_none_are_refused', async (t) => {
  const cache = modern(t)
  for (const list of ['abc', null, undefined, {}, new Set(['a']), ['a', 5], ['a', ''], ['a', '\ud800'], new Array(3)]) {
    await assert.rejects(cache.getMany(list), { code: 'INVALID_ARGUMENT', operation: 'getMany', message: /name|key/ })
  }
  assert.strictEqual(cache.stats().operations.get.count, 0)
})

test('many_beyond_a_limit_are_refused_as_a_whole', async (t) => {
  const cache = modern(t, { maxInFlight: 3 })
  await assert.rejects(cache.setMany(entries(4)), { code: 'INVALID_ARGUMENT', message: /maxInFlight/ })
  const [first, second] = await Promise.allSettled([cache.setMany(entries(2)), cache.getMany(names(2))])
  assert.strictEqual(first.status, 'fulfilled')
  const { reason } = second
  assert.deepStrictEqual([reason.code, reason.retryable, reason.operation, reason.results], ['BUSY', true, 'getMany', undefined])
  assert.deepStrictEqual((await cache.getMany(names(3))).map((record) => record && record.version), [0, 1, null])
})

test('what_is_refused_of_many_is_told_with_what_became_of_the_others', async (t) => {
  const cache = modern(t, { maxBytes: 2000 })
  const list = entries(5, (i) => i === 1 || i === 3 ? 'x'.repeat(5000) : 'secret')
  for (const error of [await cache.setMany(list).catch((error) => error), await failure(cache, 'setMany', list)]) {
    assert.ok(error instanceof Connector.ConnectorError)
    assert.match(error.message, /^2 of 5 failed, as `errors` and `results` tell; one of them: the record takes .* raise maxBytes$/)
    const { code, retryable, applied, operation, key, errors, results } = error
    assert.deepStrictEqual([code, retryable, applied, operation, key], ['TOO_LARGE', false, 'unknown', 'setMany', undefined])
    assert.deepStrictEqual(errors.map(({ key, code, applied, operation }) => [key, code, applied, operation]),
      [['1', 'TOO_LARGE', 'no', 'setMany'], ['3', 'TOO_LARGE', 'no', 'setMany']])
    assert.deepStrictEqual(results, [undefined, errors[0], undefined, errors[1], undefined])
  }
  const found = await cache.getMany(names(5))
  assert.deepStrictEqual(found.map((record) => record && record.data), ['secret', null, 'secret', null, 'secret'])
})

test('a_write_that_was_carried_out_for_no_name_was_not_applied', async (t) => {
  const cache = modern(t, { maxBytes: 2000 })
  await assert.rejects(cache.setMany(entries(2, () => 'x'.repeat(5000))), { code: 'TOO_LARGE', applied: 'no' })
})

test('what_cannot_be_read_of_many_is_told_with_what_was_found', async () => {
  // The addon's own words for it: no backend that is always there can be made to hold such records.
  const { PART, MANY, FAILED, MISS, RECORD } = native.deliveries
  const { CODE, RETRYABLE } = native.failures
  const numberOf = (code) => native.errorCodes.indexOf(code) * CODE
  const deliveries = new Deliveries(false, () => {})
  const line = { closed: false, classic: false, deliveries, submissions: { now: () => ({ getMany () {} }) } }
  const answer = new Promise((resolve) => GET_MANY.run(line, (...results) => resolve(results), 0, ['a', 'b', 'c', 'd', 'e', 'f']))
  const extras = ['it took too long', 'the version is too large', '{"secret":1}', '{no json']
  deliveries.next = () => extras.shift()
  const document = '{"x":"secret"}'
  deliveries.cells.set([
    PART, FAILED, numberOf('TIMEOUT') + RETRYABLE, PART, MISS, 0, PART, FAILED, numberOf('UNSUPPORTED'), PART, document.length, 7
  ])
  deliveries.drain(4, document)
  // The rest comes with another batch.
  deliveries.cells.set([PART, RECORD, 8, PART, RECORD, 9, 0, MANY, 0])
  deliveries.drain(3, '')
  const [error, ...nothing] = await answer
  assert.deepStrictEqual(nothing, [])
  const { code, retryable, applied, operation, message, errors, results } = error
  // What no waiting mends is what comes first.
  assert.deepStrictEqual([code, retryable, applied, operation], ['UNSUPPORTED', false, 'no', 'getMany'])
  assert.match(message, /^3 of 6 failed, .*: the version is too large$/)
  assert.deepStrictEqual(errors.map(({ key, code, operation, message }) => [key, code, operation, message]), [
    ['a', 'TIMEOUT', 'getMany', 'it took too long'], ['c', 'UNSUPPORTED', 'getMany', 'the version is too large'],
    ['f', 'CORRUPT', 'getMany', 'what is stored under this name is not JSON']
  ])
  assert.deepStrictEqual(results, [
    errors[0], null, errors[1], { version: 7, data: { x: 'secret' } }, { version: 8, data: { secret: 1 } }, errors[2]
  ])
  // Whoever logs the error logs no data.
  assert.ok(!inspect(error, { depth: 9 }).includes('secret') && !JSON.stringify(error).includes('secret'))
})

test('every_method_for_many_names_holds_each_failure', async (t) => {
  const connector = new Connector({ type: 'redis', host: '127.0.0.1', port: 1, timeout: 40, closeTimeout: 1 }, {})
  t.after(() => connector.close())
  const calls = [['getMany', names(2)], ['headBulk', names(2)], ['deleteBulk', names(2)], ['setMany', entries(2)]]
  for (const [method, list] of calls) {
    const error = await failure(connector, method, list)
    assert.deepStrictEqual([error.code, error.retryable, error.applied, error.operation], ['TIMEOUT', true, 'no', method])
    assert.deepStrictEqual(error.errors.map(({ code, key, operation }) => [code, key, operation]), [
      ['TIMEOUT', '0', method], ['TIMEOUT', '1', method]
    ])
    assert.deepStrictEqual(error.results, error.errors)
  }
})

test('many_large_answers_leave_the_loop_its_turns', async (t) => {
  const cache = modern(t)
  const data = Array.from({ length: 250000 }, (_, i) => i)
  for (const { name } of entries(30)) await cache.set(name, 1, data)
  let turns = 0
  let running = true
  const turn = () => {
    turns++
    if (running) setImmediate(turn)
  }
  setImmediate(turn)
  const records = await cache.getMany(names(30))
  running = false
  assert.ok(records.every((record) => record.data.length === data.length))
  // One of them takes longer than a fifth of a turn of deliveries, on any machine.
  assert.ok(turns >= 6, `${turns} turns`)
})

test('what_is_asked_for_while_an_answer_to_many_comes_is_answered_too', async () => {
  const { status, stdout } = await run(`
    const cache = memory()
    const data = 'x'.repeat(300000)
    const told = []
    process.on('exit', () => console.log(told.join()))
    cache.setMany(Array.from({ length: 20 }, (_, i) => ({ name: String(i), version: i, data }))).then(() => {
      cache.getMany(Array.from({ length: 20 }, (_, i) => String(i))).then((records) => told.push('many ' + records.length))
      cache.get('1').then(() => told.push('one'))
      cache.close().then(() => told.push('closed'))
      cache.get('2').catch((error) => told.push(error.code))
    })
  `)
  assert.strictEqual(status, 0)
  assert.deepStrictEqual(stdout.trim().split(',').sort(), ['CLOSED', 'closed', 'many 20', 'one'])
})
