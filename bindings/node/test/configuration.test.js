// What a connector may be made of.
'use strict'

const assert = require('assert')
const test = require('node:test')
const { Connector, modern, classic, call } = require('./helper.js')
const { configurationOf } = require('../configuration.js')

function refusal (...args) {
  try {
    new Connector(...args).close()
  } catch (error) {
    assert.ok(error instanceof Error)
    assert.strictEqual(error.code, 'CONFIGURATION')
    assert.strictEqual(error.retryable, false)
    assert.strictEqual(error.applied, 'no')
    return error.message
  }
  assert.fail('it was made')
}

test('what_is_no_configuration_is_refused', () => {
  assert.match(refusal('gibberish'), /the configuration is text; give an object/)
  assert.match(refusal(5), /the configuration is 5/)
  assert.match(refusal(true), /the configuration is true/)
  assert.match(refusal([]), /the configuration is a list/)
  assert.match(refusal(() => {}), /the options are a function/)
  assert.match(refusal(5n), /the options are a bigint/)
})

test('a_missing_type_is_named', () => {
  for (const options of [undefined, null, {}, { type: null }, { type: undefined }]) {
    assert.match(refusal(options), /the option "type" is missing; give one of .*memory/)
    assert.match(refusal(options, {}), /the option "type" is missing/)
  }
})

test('a_wrong_option_is_named', () => {
  assert.match(refusal({ type: 'memroy' }), /did you mean "memory"/)
  assert.match(refusal({ type: 'memory', timeuot: 5 }), /did you mean "timeout"/)
  assert.match(refusal({ type: 'memory', timeout: 'soon' }), /"timeout" is text; give a whole number/)
  assert.match(refusal({ type: 'memory', timeout: Infinity }), /"timeout" is Infinity; give a number/)
  assert.match(refusal({ type: 'memory', timeout: NaN }), /"timeout" is NaN/)
  assert.match(refusal({ type: 'memory', timeout: 5n }), /"timeout" is a bigint/)
  assert.match(refusal({ type: 'memory', timeout: () => 5 }), /"timeout" is a function/)
  assert.match(refusal({ type: 'memory', api: 'clasic' }), /did you mean "classic"/)
  const cyclic = { type: 'memory' }
  cyclic.more = cyclic
  assert.match(refusal(cyclic), /the options cannot be written as JSON/)
})

test('options_that_are_null_count_as_absent', async (t) => {
  const cache = modern(t, { timeout: null, maxEntries: null, layout: undefined })
  assert.deepStrictEqual(await call(cache, 'get', 'a'), [null, -1, null])
})

test('numbers_may_be_text', async (t) => {
  const cache = modern(t, { maxEntries: '1' })
  await call(cache, 'set', 'a', 1, {})
  await call(cache, 'set', 'b', 1, {})
  assert.deepStrictEqual(await call(cache, 'headBulk', ['a', 'b']), [null, { b: 1 }, ['a']])
})

test('words_may_be_in_upper_or_lower_case', async (t) => {
  assert.deepStrictEqual(await call(modern(t, { api: 'Classic' }), 'get', 'a'), [null, null])
  assert.deepStrictEqual(await call(classic(t, { api: 'MODERN' }), 'get', 'a'), [null, -1, null])
})

test('the_options_are_never_changed', async (t) => {
  const options = Object.freeze({ type: 'memory', timeout: null, logLevel: 'warn' })
  const connector = new Connector(options, Object.freeze({}), Object.freeze({}))
  t.after(() => connector.close())
  await connector.whenReady()
  assert.deepStrictEqual(options, { type: 'memory', timeout: null, logLevel: 'warn' })
})

test('a_classic_cache_has_the_layout_of_its_time_unless_told_otherwise', () => {
  const layout = (...args) => JSON.parse(configurationOf(...args).text).layout
  assert.strictEqual(layout({ type: 'redis' }), 'V1')
  assert.strictEqual(layout({ type: 'redis', layout: null }), 'V1')
  assert.strictEqual(layout({ type: 'redis', layout: 'V2' }), 'V2')
  assert.strictEqual(layout({ type: 'redis' }, {}), undefined)
  assert.strictEqual(layout({ type: 'redis', api: 'classic' }, {}), 'V1')
  assert.strictEqual(layout({ type: 'redis', api: 'modern' }), undefined)
  for (const type of ['memcached', 'elasticache']) assert.strictEqual(layout({ type }), 'V1')
  assert.strictEqual(layout({ type: 'memory' }), undefined)
  const options = { type: 'redis' }
  configurationOf(options)
  assert.deepStrictEqual(options, { type: 'redis' })
})

function recorder (levels) {
  const lines = []
  const logger = {}
  for (const level of levels) logger[level] = (event, line) => lines.push([level, event, line])
  return { lines, logger }
}

test('log_lines_reach_the_logger_of_the_server', async (t) => {
  const { lines, logger } = recorder(['debug', 'info', 'warn', 'error', 'fatal'])
  const spaces = []
  const services = {
    logger: {
      getNameSpace (name) {
        spaces.push(name)
        return logger
      }
    }
  }
  await modern(t, {}, services).whenReady()
  assert.deepStrictEqual(spaces, ['DEEPSTREAM_CONNECTOR'])
  assert.deepStrictEqual(lines, [['info', 'INFO', 'connected to the memory cache']])
})

test('a_logger_may_lack_levels_name_spaces_or_everything', async (t) => {
  const partial = recorder(['error'])
  const plain = recorder(['info'])
  const loggers = [
    { getNameSpace: () => partial.logger }, plain.logger, {}, null, undefined,
    { getNameSpace: () => undefined }, { getNameSpace: () => ({ info: 5 }) }
  ]
  for (const logger of loggers) await modern(t, {}, { logger }).whenReady()
  assert.deepStrictEqual(partial.lines, [])
  assert.strictEqual(plain.lines.length, 1)
})

test('log_lines_are_an_event_too', async (t) => {
  const cache = classic(t)
  const lines = []
  cache.on('log', (level, line) => lines.push([level, line]))
  await cache.whenReady()
  assert.deepStrictEqual(lines, [['info', 'connected to the memory cache']])
})

test('a_certificate_may_be_a_buffer', () => {
  const pem = '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n'
  for (const ca of [Buffer.from(pem), new TextEncoder().encode(pem)]) {
    const { text } = configurationOf({ type: 'redis', tls: { ca } })
    assert.strictEqual(JSON.parse(text).tls.ca, pem)
  }
  assert.throws(() => configurationOf({ type: 'redis', tls: { key: Buffer.from([0x30, 0x82, 0xff]) } }), (error) => {
    assert.strictEqual(error.code, 'CONFIGURATION')
    assert.match(error.message, /"key" has bytes that are no text/)
    return true
  })
})
