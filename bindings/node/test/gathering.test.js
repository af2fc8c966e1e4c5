// Requests of one turn of the loop cross into the addon together; nobody is to notice.
'use strict'

const assert = require('assert')
const test = require('node:test')
const native = require('../native.js')
const { modern, call, failure, run } = require('./helper.js')

/** More requests than gather at once, so that some cross before the turn ends. */
const MANY = native.submissions.MAX * 3 + 7

/** The engine on the event loop, and on a thread of its own. */
const PLACES = [{ reactorThread: false }, { reactorThread: true }]

const NAMES = ['a', 'b/ascii', 'c/Grüße', 'd/東京', 'e/😀', 'f/\u0000', '\ufffd']

for (const place of PLACES) {
  test(`requests_of_all_kinds_keep_their_order_and_their_texts (reactorThread: ${place.reactorThread})`, async (t) => {
    const cache = modern(t, place)
    const documents = [{}, 'x', 'é', '東', '😀😀', null, [1, 'ü'], 'y'.repeat(40000), 'ж'.repeat(20000)]
    const answers = []
    const expected = []
    for (let i = 0; i < MANY; i++) {
      const name = NAMES[i % NAMES.length]
      const document = documents[i % documents.length]
      answers.push(call(cache, 'set', name, i, document), call(cache, 'get', name), call(cache, 'head', name))
      expected.push([null], [null, i, document], [null, i])
      if (i % 5 === 0) {
        answers.push(call(cache, 'delete', name), call(cache, 'get', name), call(cache, 'headBulk', [name]))
        expected.push([null], [null, -1, null], [null, {}, [name]])
      }
    }
    assert.deepStrictEqual(await Promise.all(answers), expected)
  })
}

test('halves_of_pairs_in_names_do_not_find_each_other', async (t) => {
  const cache = modern(t)
  const [high, low] = ['high\ud83d', '\ude00low']
  const good = [call(cache, 'set', 'first', 1, 'ü'), call(cache, 'set', 'second', 2, {})]
  const bad = [failure(cache, 'get', high), failure(cache, 'get', low), failure(cache, 'set', high, 1, low)]
  const after = [call(cache, 'get', 'first'), call(cache, 'get', 'second')]
  assert.deepStrictEqual(await Promise.all(good), [[null], [null]])
  for (const error of await Promise.all(bad)) {
    assert.strictEqual(error.code, 'INVALID_ARGUMENT')
    assert.match(error.message, /half of a surrogate pair/)
  }
  assert.deepStrictEqual(await Promise.all(after), [[null, 1, 'ü'], [null, 2, {}]])
})

test('each_request_is_refused_for_itself', async (t) => {
  const cache = modern(t, { maxInFlight: 10 })
  const names = Array.from({ length: 20 }, (_, i) => i === 3 ? '' : `name ${i}`)
  const answers = await Promise.all(names.map((name) => call(cache, 'set', name, 1, {})))
  const codes = answers.map(([error]) => error === null ? 'done' : error.code)
  // Nineteen have a name, and ten find room.
  assert.deepStrictEqual(codes, names.map((name, i) => {
    if (name === '') return 'INVALID_ARGUMENT'
    return i < 11 ? 'done' : 'BUSY'
  }))
})

test('statistics_know_what_has_gathered', async (t) => {
  const cache = modern(t)
  const answers = Array.from({ length: 20 }, (_, i) => call(cache, 'set', `name ${i}`, 1, {}))
  assert.strictEqual(cache.stats().inFlight, 20)
  await Promise.all(answers)
})

test('a_process_stays_for_what_has_gathered', async () => {
  const { status, stdout } = await run(`
    const cache = memory()
    let answers = 0
    process.on('exit', () => console.log(answers))
    for (let i = 0; i < ${MANY}; i++) cache.set('name ' + i, i, { i }, (error) => { if (!error) answers++ })
  `)
  assert.deepStrictEqual([status, stdout], [0, `${MANY}\n`])
})

test('what_gathers_before_close_is_finished_and_after_it_refused', async (t) => {
  const cache = modern(t)
  const before = Array.from({ length: 20 }, (_, i) => call(cache, 'set', `name ${i}`, 1, {}))
  const closed = cache.close()
  const after = Array.from({ length: 20 }, (_, i) => failure(cache, 'get', `name ${i}`))
  for (const [error] of await Promise.all(before)) assert.strictEqual(error, null)
  for (const error of await Promise.all(after)) assert.strictEqual(error.code, 'CLOSED')
  await closed
})
