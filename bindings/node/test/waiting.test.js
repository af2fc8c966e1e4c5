// Waiting for the connection, with an end.
'use strict'

const assert = require('assert')
const { getEventListeners } = require('events')
const test = require('node:test')
const { Connector, modern, run } = require('./helper.js')

/** A server that is not there. */
const ABSENT = { type: 'redis', host: '127.0.0.1', port: 1, closeTimeout: 1 }

function waiting (t) {
  const connector = new Connector(ABSENT, {})
  t.after(() => connector.close())
  return connector
}

test('when_ready_may_have_a_timeout', async (t) => {
  const connector = waiting(t)
  const began = Date.now()
  await assert.rejects(connector.whenReady({ timeout: 40 }), {
    name: 'ConnectorError', code: 'TIMEOUT', retryable: true, applied: 'no', operation: 'whenReady',
    message: /^Redis at 127\.0\.0\.1:1: .* 40 ms, the `timeout` of `whenReady`/
  })
  assert.ok(Date.now() - began >= 39)
})

test('when_ready_may_have_a_signal', async (t) => {
  const connector = waiting(t)
  const reason = new Error('mine')
  const controller = new AbortController()
  const { signal } = controller
  const answers = [connector.whenReady({ signal }), connector.whenReady({ signal, timeout: 60000 })]
  assert.strictEqual(getEventListeners(signal, 'abort').length, 1)
  controller.abort(reason)
  for (const answer of answers) await assert.rejects(answer, (error) => error === reason)
  assert.strictEqual(getEventListeners(signal, 'abort').length, 0)
  await assert.rejects(connector.whenReady({ signal }), (error) => error === reason)
  await assert.rejects(connector.whenReady({ signal: AbortSignal.timeout(10) }), { name: 'TimeoutError' })
})

test('when_ready_with_an_end_takes_the_connection_that_comes_before', async (t) => {
  const cache = modern(t)
  const { signal } = new AbortController()
  for (const options of [{ timeout: 60000 }, { signal }, { timeout: 2 ** 32 - 1, signal }, {}, null]) {
    assert.strictEqual(await cache.whenReady(options), undefined)
    const next = modern(t)
    assert.strictEqual(await next.whenReady(options), undefined)
  }
  assert.strictEqual(getEventListeners(signal, 'abort').length, 0)
})

test('who_waits_with_an_end_hears_of_the_close_first', async (t) => {
  const connector = waiting(t)
  const { signal } = new AbortController()
  const answers = [connector.whenReady(), connector.whenReady({ timeout: 60000, signal })]
  const told = Promise.all(answers.map((answer) => assert.rejects(answer, { code: 'CLOSED' })))
  await connector.close()
  await told
  assert.strictEqual(getEventListeners(signal, 'abort').length, 0)
})

test('when_ready_refuses_options_that_are_none', async (t) => {
  const cache = modern(t)
  for (const [options, word] of [[5, 'options'], [{ timeout: 0 }, 'timeout'], [{ timeout: '5' }, 'timeout'], [{ signal: {} }, 'signal']]) {
    const expected = { code: 'INVALID_ARGUMENT', operation: 'whenReady', message: new RegExp(`^the ${word} (is|are) .*; give `) }
    await assert.rejects(cache.whenReady(options), expected)
  }
})

test('a_timeout_beyond_that_of_a_timer_does_not_end_at_once', async () => {
  const { status, stdout, stderr } = await run(`
    const connector = new Connector(${JSON.stringify(ABSENT)}, {})
    connector.whenReady({ timeout: 2 ** 32 - 1 }).catch(({ code }) => console.log(code))
    connector.whenReady({ timeout: 30 }).catch(({ code }) => {
      console.log(code)
      connector.close()
    })
  `)
  assert.deepStrictEqual([status, stdout, stderr], [0, 'TIMEOUT\nCLOSED\n', ''])
})

test('who_has_given_up_does_not_keep_the_process', async () => {
  const ends = ['{ timeout: 30 }', '{ signal: AbortSignal.timeout(30) }']
  for (const end of ends) {
    const { status, stdout } = await run(`
      const connector = new Connector(${JSON.stringify(ABSENT)}, {})
      connector.whenReady(${end}).catch(({ name, code }) => console.log('given up'))
    `)
    assert.deepStrictEqual([status, stdout], [0, 'given up\n'], end)
  }
})

test('one_that_gives_up_takes_nothing_from_another', async () => {
  const { status, stdout } = await run(`
    const connector = new Connector(${JSON.stringify(ABSENT)}, {})
    let left = false
    connector.whenReady({ timeout: 20 }).catch(() => {
      left = true
      console.log('one')
    })
    connector.whenReady().catch(({ code }) => console.log('other', code))
    process.on('beforeExit', () => console.log('exits'))
    setTimeout(() => {
      console.log(left)
      setTimeout(() => connector.close(), 20).unref()
    }, 60).unref()
  `)
  assert.deepStrictEqual([status, stdout], [0, 'one\ntrue\nother CLOSED\nexits\n'])
})
