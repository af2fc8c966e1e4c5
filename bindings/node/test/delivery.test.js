// How answers reach JavaScript: all of them, whatever their size, and without holding up the loop.
'use strict'

const assert = require('assert')
const fs = require('fs')
const os = require('os')
const path = require('path')
const test = require('node:test')
const native = require('../native.js')
const { Deliveries } = require('../deliveries.js')
const { Connector, modern, run } = require('./helper.js')

for (const place of [{ reactorThread: false }, { reactorThread: true }]) {
  test(`what_the_last_callbacks_ask_for_is_refused_and_told (reactorThread: ${place.reactorThread})`, async () => {
    const { status, stdout } = await run(`
      const cache = memory(${JSON.stringify(place)})
      const codes = []
      const ask = (depth) => {
        if (depth === 0) return
        for (let i = 0; i < 3; i++) {
          cache.get('late ' + i, (error) => {
            codes.push(error.code)
            ask(depth - 1)
          })
        }
        cache.set('late', 1, {}).catch((error) => codes.push(error.code))
      }
      process.on('exit', () => console.log(codes.length, [...new Set(codes)].join()))
      cache.whenReady().then(() => {
        cache.get('x', () => ask(2))
        cache.close()
      })
    `)
    // Four, and four for each of three callbacks.
    assert.deepStrictEqual([status, stdout], [0, '16 CLOSED\n'])
  })
}

test('a_closed_connector_keeps_no_descriptor', async () => {
  const open = () => fs.readdirSync('/proc/self/fd').length
  const connectors = []
  const one = async (options) => {
    const cache = new Connector({ type: 'memory', ...options }, {})
    await cache.set('a', 1, {})
    await cache.close()
    assert.strictEqual(cache.stats().operations.set.count, 1)
    connectors.push(cache)
  }
  for (const options of [{ reactorThread: false }, { reactorThread: true }]) await one(options)
  await new Promise((resolve) => setImmediate(resolve))
  const before = open()
  for (let i = 0; i < 10; i++) await one({ reactorThread: i % 2 === 0 })
  await new Promise((resolve) => setImmediate(resolve))
  assert.strictEqual(open(), before)
})

test('an_answer_that_can_be_no_string_costs_itself_alone', () => {
  const seen = []
  const deliveries = new Deliveries(false, () => {})
  const { RECORD, ANSWER, PAGE, DONE } = native.deliveries
  const wait = (name) => deliveries.expect('get', name, (error, ...answer) => seen.push([name, error && error.code, ...answer]))
  const rest = '{"cursor":null,"failed":[]}'
  const extras = [null, '[1]', null, '{"x":1}', null, '[{"name":"a","version":1,"data":2}]', rest, '[]', rest]
  deliveries.next = () => {
    const extra = extras.shift()
    if (extra === null) throw new Error('it is too long')
    return extra
  }
  deliveries.cells.set([
    wait('long record'), RECORD, 1, wait('record'), RECORD, 2, wait('long answer'), ANSWER, 0, wait('answer'), ANSWER, 0,
    wait('long page'), PAGE, 3, wait('page'), PAGE, 2, wait('done'), DONE, 0
  ])
  deliveries.drain(7, '')
  assert.deepStrictEqual(seen, [
    ['long record', 'TOO_LARGE'], ['record', null, 2, [1]], ['long answer', 'TOO_LARGE'], ['answer', null, { x: 1 }],
    ['long page', 'TOO_LARGE'], ['page', null, { records: [], cursor: null, errors: [] }], ['done', null]
  ])
})

test('large_answers_leave_the_loop_its_turns', async (t) => {
  const cache = modern(t)
  const list = Array.from({ length: 250000 }, (_, i) => i)
  await Promise.all(Array.from({ length: 30 }, (_, i) => cache.set(`${i}`, i, list)))
  let turns = 0
  let running = true
  const turn = () => {
    turns++
    if (running) setImmediate(turn)
  }
  setImmediate(turn)
  let first = null
  await Promise.all(Array.from({ length: 30 }, (_, i) => new Promise((resolve) => {
    cache.get(`${i}`, (error, version, data) => {
      assert.ifError(error)
      assert.strictEqual(data.length, list.length)
      if (first === null) first = turns
      resolve()
    })
  })))
  running = false
  // One of them takes longer than a fifth of a turn of deliveries, on any machine.
  assert.ok(turns - first >= 6, `${turns - first} turns`)
})

test('a_turn_of_the_loop_has_one_turn_of_callbacks', async (t) => {
  const cache = modern(t, { reactorThread: true })
  // Each is a batch of its own, and takes longer than a turn of deliveries.
  await cache.set('a', 1, 'x'.repeat(300000))
  let inThisTurn = 0
  let most = 0
  let running = true
  const turn = () => {
    most = Math.max(most, inThisTurn)
    inThisTurn = 0
    if (running) setImmediate(turn)
  }
  setImmediate(turn)
  await Promise.all(Array.from({ length: 20 }, () => new Promise((resolve) => {
    const ask = (left) => cache.get('a', () => {
      inThisTurn++
      const until = performance.now() + 10
      while (performance.now() < until);
      // Its answer comes while others are waiting.
      if (left > 0) ask(left - 1)
      else resolve()
    })
    ask(2)
  })))
  running = false
  assert.strictEqual(most, 1)
})

for (const place of [{ reactorThread: false }, { reactorThread: true }]) {
  test(`a_turn_of_deliveries_ends_with_a_record_that_takes_long_to_read (reactorThread: ${place.reactorThread})`, async (t) => {
    const cache = modern(t, place)
    // On any machine `JSON.parse` takes longer for it than a turn of deliveries.
    await cache.set('a', 1, Array.from({ length: 60000 }, (_, i) => ({ id: i, name: `name ${i}`, at: { x: i, y: -i } })))
    let inThisTurn = 0
    let most = 0
    let running = true
    const turn = () => {
      most = Math.max(most, inThisTurn)
      inThisTurn = 0
      if (running) setImmediate(turn)
    }
    setImmediate(turn)
    await Promise.all(Array.from({ length: 4 }, () => new Promise((resolve) => {
      cache.get('a', (error, version, data) => {
        inThisTurn++
        assert.strictEqual(error || data.length, 60000)
        resolve()
      })
    })))
    running = false
    // The bell and the sockets have a turn of deliveries each.
    assert.ok(most <= 2, `${most} records`)
  })

  test(`texts_of_any_length_and_alphabet_come_back (reactorThread: ${place.reactorThread})`, async (t) => {
    const cache = modern(t, place)
    const letters = ['x', 'é', '東', '😀', 'xéx東x😀', '\u0000ÿ', '\ufffd', '\ufeff']
    const lengths = [1, 60, 64, 100, 127, 128, 255, 256, 257, 6000, 300000]
    const texts = letters.flatMap((letter) => lengths.map((length) => letter.repeat(length)))
    texts.push('é'.repeat(9 << 20), '東'.repeat(6 << 20))
    for (const text of texts) {
      await cache.set('a', 1, text)
      const { data } = await cache.get('a')
      assert.ok(data === text, `${text.length} of ${text.slice(0, 6)}`)
    }
  })
}

test('large_records_are_listed_in_short_pages', async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'delivery-'))
  const connector = new Connector({ type: 'sqlite', path: path.join(folder, 'records.db') }, {})
  t.after(async () => {
    await connector.close()
    fs.rmSync(folder, { recursive: true })
  })
  const text = 'x'.repeat(1 << 20)
  await Promise.all(Array.from({ length: 40 }, (_, i) => connector.set(`large/${i}`, i, text)))
  const whole = await connector.scan(null, 100)
  assert.deepStrictEqual([whole.records.length, whole.cursor], [40, null])
  const asked = []
  const scan = connector.constructor.prototype.scan
  t.after(() => { connector.constructor.prototype.scan = scan })
  connector.constructor.prototype.scan = function (cursor, limit, callback) {
    asked.push(limit)
    return scan.call(this, cursor, limit, callback)
  }
  let count = 0
  for await (const { data } of connector.records()) {
    assert.strictEqual(data.length, text.length)
    count++
  }
  assert.strictEqual(count, 40)
  assert.ok(asked.every((limit) => limit <= 16), asked.join())
})

test('one_bad_record_does_not_end_a_listing_for_good', async (t) => {
  const deliveries = new Deliveries(false, () => {})
  const page = new Promise((resolve) => {
    const id = deliveries.expect('scan', undefined, (error, page) => resolve([error, page]))
    const code = native.errorCodes.indexOf('CORRUPT') * native.failures.CODE
    const extras = ['[{"name":"a","version":1,"data":2}]', `{"cursor":"on","failed":[["bad",${code},"no JSON"]]}`]
    deliveries.next = () => extras.shift()
    deliveries.cells.set([id, native.deliveries.PAGE, 2])
    deliveries.drain(1, '')
  })
  const [failure, { records, cursor, errors }] = await page
  assert.strictEqual(failure, null)
  assert.deepStrictEqual([records, cursor], [[{ name: 'a', version: 1, data: 2 }], 'on'])
  assert.deepStrictEqual([errors[0].code, errors[0].key], ['CORRUPT', 'bad'])

  const { listAll } = require('../listing.js')
  const given = []
  await assert.rejects(async () => {
    for await (const { name } of listAll(async () => (await page)[1], 10, null)) given.push(name)
  }, { code: 'CORRUPT', key: 'bad', cursor: 'on' })
  assert.deepStrictEqual(given, ['a'])
})
