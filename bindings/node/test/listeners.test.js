// What a connector is kept for while somebody listens to it.
'use strict'

const assert = require('assert')
const test = require('node:test')
const { classic, run } = require('./helper.js')

test('whoever_listens_keeps_the_connector', async () => {
  for (const event of ['notification', 'error', 'close']) {
    const { status, stdout, stderr } = await run(`
      const collected = new FinalizationRegistry(() => console.log('collected'))
      const kept = (() => {
        const cache = memory()
        collected.register(cache)
        if (${JSON.stringify(event)} !== 'none') cache.on(${JSON.stringify(event)}, () => {})
        return new WeakRef(cache)
      })()
      const wait = (rounds) => {
        global.gc()
        if (rounds > 0) return setTimeout(wait, 5, rounds - 1)
        const cache = kept.deref()
        console.log(cache !== undefined)
        cache.close()
      }
      setTimeout(wait, 5, 10)
    `, { flags: ['--expose-gc'] })
    assert.deepStrictEqual([status, stdout], [0, 'true\n'], `${event}: ${stderr}`)
  }
})

test('once_nobody_listens_it_is_collected', async () => {
  const { status, stdout } = await run(`
    const collected = new FinalizationRegistry(() => console.log('collected'))
    ;(() => {
      const cache = memory()
      collected.register(cache)
      for (const event of ['notification', 'error', 'ready']) cache.on(event, () => {})
      cache.removeAllListeners()
    })()
    const wait = (rounds) => {
      global.gc()
      if (rounds > 0) setTimeout(wait, 5, rounds - 1)
    }
    setTimeout(wait, 5, 40)
  `, { flags: ['--expose-gc'] })
  assert.deepStrictEqual([status, stdout], [0, 'collected\n'])
})

/** A database that is never there: only waiting for it could keep the process. */
const ABSENT = "new Connector({ type: 'redis', host: '127.0.0.1', port: 1 }, {})"

test('waiting_for_ready_holds_the_process_after_all_listeners_were_removed', async () => {
  const { status, stdout } = await run(`
    const cache = memory()
    cache.removeAllListeners()
    require('events').once(cache, 'ready').then(() => console.log('ready'))
  `)
  assert.deepStrictEqual([status, stdout], [0, 'ready\n'])
})

test('who_stops_waiting_for_ready_lets_the_process_exit', async () => {
  for (const stop of ['abort.abort()', "cache.removeAllListeners('ready')", 'cache.removeAllListeners()']) {
    const { status, signal } = await run(`
      const cache = ${ABSENT}
      const abort = new AbortController()
      require('events').once(cache, 'ready', { signal: abort.signal }).catch(() => {})
      setImmediate(() => { ${stop} })
    `, { seconds: 10 })
    assert.deepStrictEqual([status, signal], [0, null], stop)
  }
})

test('a_setter_or_listener_that_throws_costs_no_other_its_answer', async () => {
  const { status, stdout, stderr } = await run(`
    const uncaught = []
    process.on('uncaughtException', (error) => uncaught.push(error.message))
    class Mine extends Connector {
      set isReady (value) { if (value) throw new Error('setter') }
      get isReady () { return false }
      listenerCount (event) { if (event === 'log') throw new Error('count'); return super.listenerCount(event) }
    }
    const cache = new Mine({ type: 'memory' }, {})
    delete cache.isReady
    let answers = 0
    for (let i = 0; i < 10; i++) cache.get('name ' + i, () => answers++)
    cache.whenReady().then(() => cache.get('a', () => {
      answers++
      cache.close().then(() => console.log(answers, [...new Set(uncaught)].sort().join()))
    }))
  `)
  assert.deepStrictEqual([status, stdout], [0, '11 count,setter\n'], stderr)
})

test('a_classic_connector_says_that_its_database_is_absent', async () => {
  const { status, stdout, stderr } = await run(`
    const connector = new Connector({ type: 'redis', host: '127.0.0.1', port: 1 })
    connector.on('error', () => console.log('error'))
    process.on('warning', (warning) => {
      console.log(warning.name, warning.code, /127\\.0\\.0\\.1/.test(warning.message))
      connector.setDeepstream({ _options: { logger: { log: (level, event, line) => {
        console.log(level, event, /127\\.0\\.0\\.1/.test(line))
        connector.close()
      } } } })
    })
    connector.on('ready', () => {})
  `)
  assert.strictEqual(status, 0, stderr)
  assert.match(stdout, /^ConnectorWarning UNAVAILABLE true\n3 PLUGIN_ERROR true\n/)
  assert.doesNotMatch(stdout, /^error/m)
})

test('the_logger_of_a_classic_server_hears_of_it_alone', async (t) => {
  const connector = classic(t, { type: 'redis', host: '127.0.0.1', port: 1 })
  const warned = []
  const onWarning = (warning) => warned.push(warning)
  process.on('warning', onWarning)
  // As a server does, which would wait for ever otherwise.
  connector.once('ready', () => {})
  const line = await new Promise((resolve) => {
    connector.setDeepstream({ _options: { logger: { error: (event, line) => resolve(line), warn: (event, line) => resolve(line) } } })
  })
  process.off('warning', onWarning)
  assert.match(line, /127\.0\.0\.1/)
  assert.deepStrictEqual(warned, [])
})
