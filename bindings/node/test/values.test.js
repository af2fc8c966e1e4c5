// Data and names of all kinds come back equal, or are refused clearly.
'use strict'

const assert = require('assert')
const test = require('node:test')
const { modern, classic, call, failure } = require('./helper.js')

function nested (depth) {
  let value = []
  for (let i = 1; i < depth; i++) value = i % 2 === 0 ? [value] : { inner: value }
  return value
}

const DOCUMENTS = {
  emptyObject: {},
  emptyList: [],
  emptyText: '',
  zero: 0,
  no: false,
  nothing: null,
  numbers: [1.5, -0.1, 1e300, 5e-324, 2 ** 53, 0.1 + 0.2],
  emptyInside: { a: {}, b: [], c: [[], {}, null] },
  nul: 'a\u0000b',
  latin: 'Grüße, naïve café ÿ',
  wide: 'Łódź 東京 Привет',
  astral: '😀 𝒳 🏳️‍🌈',
  loneSurrogates: { text: '\ud800', other: 'x\udfff', '\udbff': 1 },
  replacement: '\ufffd',
  separators: '\u2028\u2029"\\/',
  fields: { _id: 1, _rev: 2, ds_key: 3, ds_version: 4, __ds: {}, $set: 1, 'a.b': 2, _v: 1, _d: 2 },
  proto: JSON.parse('{"__proto__": {"x": 1}, "constructor": 2}'),
  deep: nested(1000),
  long: 'x'.repeat(100000),
  longWide: 'ж'.repeat(100000),
  mixed: Array.from({ length: 3000 }, (_, i) => ({ i, text: i % 7 === 0 ? 'ü' : 'u' }))
}

for (const [name, document] of Object.entries(DOCUMENTS)) {
  test(`document_comes_back_equal: ${name}`, async (t) => {
    const [cache, old] = [modern(t), classic(t)]
    assert.deepStrictEqual(await call(cache, 'set', name, 1, document), [null])
    assert.deepStrictEqual(await call(cache, 'get', name), [null, 1, document])
    assert.deepStrictEqual(await call(old, 'set', name, { _v: 1, _d: document }), [null])
    assert.deepStrictEqual(await call(old, 'get', name), [null, { _v: 1, _d: document }])
  })
}

test('documents_of_all_kinds_in_one_batch_do_not_mix', async (t) => {
  const cache = modern(t)
  const entries = Object.entries(DOCUMENTS)
  const answers = []
  for (let round = 0; round < 20; round++) {
    for (const [name, document] of entries) cache.set(`${name}/${round}`, round, document, assert.ifError)
  }
  for (let round = 0; round < 20; round++) {
    for (const [name, document] of entries) {
      answers.push(call(cache, 'get', `${name}/${round}`).then((answer) => {
        assert.deepStrictEqual(answer, [null, round, document])
      }))
      answers.push(call(cache, 'get', `none/${name}`).then((answer) => assert.strictEqual(answer[1], -1)))
    }
  }
  await Promise.all(answers)
})

test('text_around_the_size_of_a_buffer_is_read_whole', async (t) => {
  const cache = modern(t)
  const buffer = 16 * 1024
  for (let length = buffer - 12; length < buffer + 12; length++) {
    for (const end of ['', 'é', '東', '😀']) {
      const text = 'x'.repeat(length) + end
      await call(cache, 'set', 'a', 1, text)
      assert.deepStrictEqual(await call(cache, 'get', 'a'), [null, 1, text])
    }
  }
})

test('every_get_gives_a_value_of_its_own', async (t) => {
  const cache = modern(t)
  await call(cache, 'set', 'a', 1, { list: [1] })
  const [[, , first], [, , second]] = await Promise.all([call(cache, 'get', 'a'), call(cache, 'get', 'a')])
  first.list.push(2)
  assert.deepStrictEqual(second, { list: [1] })
  assert.deepStrictEqual(await call(cache, 'get', 'a'), [null, 1, { list: [1] }])
})

test('set_reads_the_data_before_it_returns', async (t) => {
  const [cache, old] = [modern(t), classic(t)]
  const data = { list: [1], text: 'before' }
  const stored = call(cache, 'set', 'a', 1, data)
  const record = { _v: 1, _d: { list: [1], text: 'before' } }
  const storedOld = call(old, 'set', 'a', record)
  data.list.push(2)
  data.text = 'after'
  record._v = 2
  record._d.list.push(2)
  record._d.text = 'after'
  await stored
  await storedOld
  assert.deepStrictEqual(await call(cache, 'get', 'a'), [null, 1, { list: [1], text: 'before' }])
  assert.deepStrictEqual(await call(old, 'get', 'a'), [null, { _v: 1, _d: { list: [1], text: 'before' } }])
})

test('data_that_json_cannot_hold_is_refused', async (t) => {
  const cache = modern(t)
  await call(cache, 'set', 'a', 1, 'old')
  const cyclic = {}
  cyclic.self = cyclic
  const hostile = { toJSON () { throw new Error('not today') } }
  const getter = { get x () { throw new RangeError('mine') } }
  for (const data of [undefined, () => {}, Symbol('x'), 5n, { x: 5n }, cyclic, hostile, getter]) {
    const error = await failure(cache, 'set', 'a', 2, data)
    assert.ok(error instanceof Error)
    assert.strictEqual(error.code, 'INVALID_ARGUMENT')
    assert.strictEqual(error.retryable, false)
  }
  assert.deepStrictEqual(await call(cache, 'get', 'a'), [null, 1, 'old'])
})

test('data_too_deep_for_the_stack_is_refused_or_comes_back', async (t) => {
  const cache = modern(t)
  const error = await failure(cache, 'set', 'a', 1, nested(200000))
  if (error !== null) assert.strictEqual(error.code, 'INVALID_ARGUMENT')
})

test('versions_are_exact_or_refused', async (t) => {
  const cache = modern(t)
  for (const version of [0, 1, -5, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]) {
    await call(cache, 'set', 'a', version, {})
    assert.deepStrictEqual(await call(cache, 'get', 'a'), [null, version, {}])
    assert.deepStrictEqual(await call(cache, 'head', 'a'), [null, version])
    assert.deepStrictEqual(await call(cache, 'headBulk', ['a']), [null, { a: version }, []])
  }
  for (const version of [2 ** 53, 1.5, NaN, Infinity, '1', 1n, null, undefined, {}]) {
    const error = await failure(cache, 'set', 'a', version, {})
    assert.strictEqual(error.code, 'INVALID_ARGUMENT', String(version))
  }
})

const NAMES = [
  'a', '__proto__', 'constructor', 'it\'s "quoted"', "'; DROP TABLE records; --", 'a/b/c', ' ', '\n', '\t\r',
  '\u0000', 'é', 'ÿ', '東京', '😀', '\ufffd', 'x'.repeat(65536), 'é'.repeat(32768), '😀'.repeat(16384)
]

test('every_name_has_a_record_of_its_own', async (t) => {
  const cache = modern(t)
  for (const [i, name] of NAMES.entries()) cache.set(name, i, name.length, assert.ifError)
  for (const [i, name] of NAMES.entries()) {
    assert.deepStrictEqual(await call(cache, 'get', name), [null, i, name.length])
  }
  const [error, versions, missing] = await call(cache, 'headBulk', NAMES)
  assert.ifError(error)
  assert.deepStrictEqual(missing, [])
  for (const [i, name] of NAMES.entries()) assert.strictEqual(versions[name], i)
})

test('names_that_are_none_are_refused', async (t) => {
  const cache = modern(t)
  await call(cache, 'set', '\ufffd', 1, 'the replacement character')
  const names = [
    '', '\ud800', '\udfff', 'a\ud800b', '\udc00\ud800', '\ufffd\ud800', 'x'.repeat(65537), 'é'.repeat(32769),
    5, null, undefined, {}, ['a'], Symbol('a')
  ]
  for (const name of names) {
    for (const [method, ...args] of [['get'], ['set', 1, {}], ['delete'], ['head']]) {
      const error = await failure(cache, method, name, ...args)
      assert.ok(error instanceof Error)
      assert.strictEqual(error.code, 'INVALID_ARGUMENT')
    }
  }
  assert.deepStrictEqual(await call(cache, 'get', '\ufffd'), [null, 1, 'the replacement character'])
})
