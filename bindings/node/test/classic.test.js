// The classic interface takes any value that JSON can hold, and gives it back equal.
'use strict'

const assert = require('assert')
const fs = require('fs')
const os = require('os')
const path = require('path')
const test = require('node:test')
const { Connector, classic, modern, call } = require('./helper.js')

const VALUES = {
  anObject: { firstname: 'Wolfram' },
  withoutVersion: { _d: { v: 10 }, firstname: 'Wolfram' },
  dataAlone: { _d: [] },
  versionAlone: { _v: 1 },
  more: { _v: 1, _d: {}, by: { whom: ['a'] } },
  record: { _v: 7, _d: { x: [1] } },
  recordTheOtherWay: { _d: { x: [1] }, _v: 7 },
  noVersion: { _v: 'x', _d: 1 },
  broken: { _v: 1.5, _d: 1 },
  none: { _v: null, _d: 1 },
  empty: {},
  list: [1, { _v: 1, _d: 2 }],
  emptyList: [],
  text: 'text',
  number: 5.5,
  yes: true,
  no: false,
  null: null,
  holder: { __dsValue: 1 },
  recordWithHolder: { _v: 3, _d: { __dsValue: { _v: 1, _d: 2 } } },
  holderTwice: { __dsValue: { __dsValue: null } },
  holderAndMore: { _v: 3, _d: { __dsValue: 1, more: 2 } },
  large: { text: 'ü'.repeat(50000) },
  proto: JSON.parse('{"__proto__": 1, "_v": 1, "_d": {}}')
}

function storage (t, options = {}) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'classic-'))
  const connector = new Connector({ type: 'sqlite', path: path.join(folder, 'records.db'), ...options })
  t.after(async () => {
    await connector.close()
    fs.rmSync(folder, { recursive: true })
  })
  return connector
}

for (const [kind, open] of Object.entries({ memory: classic, sqlite: storage })) {
  test(`any_value_comes_back_equal (${kind})`, async (t) => {
    const cache = open(t)
    await Promise.all(Object.entries(VALUES).map(async ([name, value]) => {
      assert.deepStrictEqual(await call(cache, 'set', name, value), [null])
      assert.deepStrictEqual(await call(cache, 'get', name), [null, value], name)
    }))
    assert.deepStrictEqual(await call(cache, 'get', 'nothing'), [null, null])
  })
}

test('what_json_makes_of_a_value_comes_back', async (t) => {
  const cache = classic(t)
  class Record {
    constructor () {
      this._v = 1
      this.other = 2
    }

    get _d () { return 3 }
  }
  const values = [
    [{ _v: 1, _d: {}, gone: undefined }, { _v: 1, _d: {} }],
    [{ _v: NaN, _d: 1 }, { _v: null, _d: 1 }],
    [{ _v: 1, _d: undefined }, { _v: 1 }],
    [{ _v: 1, _d: 2, toJSON () { return [3] } }, [3]],
    [new Record(), { _v: 1, other: 2 }],
    [Object.create({ _v: 1, _d: 2 }), {}],
    [new Date(0), '1970-01-01T00:00:00.000Z']
  ]
  for (const [given, expected] of values) {
    assert.deepStrictEqual(await call(cache, 'set', 'a', given), [null])
    assert.deepStrictEqual(await call(cache, 'get', 'a'), [null, expected])
  }
})

test('set_reads_a_value_before_it_returns', async (t) => {
  const cache = classic(t)
  const value = { list: [1] }
  const stored = call(cache, 'set', 'a', value)
  value.list.push(2)
  await stored
  assert.deepStrictEqual(await call(cache, 'get', 'a'), [null, { list: [1] }])
})

test('a_value_in_a_page_has_no_version', async (t) => {
  const cache = storage(t)
  await call(cache, 'set', 'value', { firstname: 'Wolfram' })
  await call(cache, 'set', 'record', { _v: 2, _d: { x: 1 } })
  const [, { records }] = await call(cache, 'scan', null, 10)
  assert.deepStrictEqual(records.sort((a, b) => a.name < b.name ? -1 : 1), [
    { name: 'record', version: 2, data: { x: 1 } },
    { name: 'value', version: null, data: { firstname: 'Wolfram' } }
  ])
})

test('a_modern_record_that_looks_like_a_value_stays_as_it_is', async (t) => {
  const cache = modern(t)
  await call(cache, 'set', 'a', 1, { __dsValue: 1 })
  assert.deepStrictEqual(await call(cache, 'get', 'a'), [null, 1, { __dsValue: 1 }])
})
