// Beginnings and ends: of connectors, of threads, of processes.
'use strict'

const assert = require('assert')
const { once } = require('events')
const test = require('node:test')
const { Worker } = require('worker_threads')
const { Connector, FOLDER, modern, classic, call, turns, run, handles } = require('./helper.js')

/** With the engine on the event loop, and with a thread of its own. */
const PLACES = [{ reactorThread: false }, { reactorThread: true }]

test('when_ready_resolves_before_and_after', async (t) => {
  const cache = modern(t)
  assert.strictEqual(cache.isReady, false)
  await cache.whenReady()
  assert.strictEqual(cache.isReady, true)
  await cache.whenReady()
})

test('ready_comes_once', async (t) => {
  const cache = modern(t)
  let times = 0
  cache.on('ready', () => times++)
  await cache.whenReady()
  await turns(5)
  assert.strictEqual(times, 1)
})

test('disposal_closes', { skip: Symbol.asyncDispose === undefined && 'this Node.js knows no disposal' }, async (t) => {
  const cache = modern(t)
  await cache.set('a', 1, {})
  assert.strictEqual(await cache[Symbol.asyncDispose](), undefined)
  await assert.rejects(cache.get('a'), { code: 'CLOSED' })
  await cache[Symbol.asyncDispose]()
})

test('await_using_closes_at_the_end_of_the_block', { skip: !hasAwaitUsing() && 'this Node.js has no await using' }, async (t) => {
  const outside = modern(t)
  const inside = new (async () => {}).constructor('cache', `
    await using mine = cache
    await mine.set('a', 1, {})
    return mine.get('a')
  `)
  assert.deepStrictEqual(await inside(outside), { version: 1, data: {} })
  await assert.rejects(outside.get('a'), { code: 'CLOSED' })
})

function hasAwaitUsing () {
  try {
    return Boolean(new (async () => {}).constructor('await using x = null'))
  } catch {
    return false
  }
}

for (const place of PLACES) {
  const where = `(reactorThread: ${place.reactorThread})`

  test(`close_resolves_as_often_as_it_is_called ${where}`, async (t) => {
    const cache = modern(t, place)
    await Promise.all([cache.close(), cache.close()])
    await cache.close()
    assert.strictEqual(cache.isReady, false)
  })

  test(`close_is_an_event_for_everyone_who_closes ${where}`, async (t) => {
    // One connector may be cache and storage of a server, which closes both.
    const cache = classic(t, place)
    await cache.whenReady()
    for (let i = 0; i < 3; i++) {
      const closed = once(cache, 'close')
      cache.close()
      await closed
    }
  })

  test(`close_lets_accepted_operations_finish ${where}`, async (t) => {
    const cache = modern(t, place)
    const answers = Array.from({ length: 3000 }, (_, i) => call(cache, 'set', `${i % 100}`, i, { i }))
    answers.push(call(cache, 'headBulk', ['0', '1']))
    await cache.close()
    for (const [error] of await Promise.all(answers)) assert.strictEqual(error, null)
  })

  test(`close_gives_the_handles_back ${where}`, async () => {
    // Those of the tests before.
    await turns(10)
    const before = handles()
    const caches = Array.from({ length: 10 }, () => new Connector({ type: 'memory', ...place }, {}))
    await Promise.all(caches.map((cache) => call(cache, 'get', 'a')))
    assert.strictEqual(handles(), before + 20)
    await Promise.all(caches.map((cache) => cache.close()))
    await turns(3)
    assert.strictEqual(handles(), before)
  })

  test(`close_in_a_callback_is_safe ${where}`, async (t) => {
    const cache = modern(t, place)
    let answers = 0
    for (let i = 0; i < 2000; i++) {
      cache.get(`${i}`, () => {
        answers++
        cache.close()
        cache.get('late', () => answers++)
      })
    }
    await cache.close()
    await turns(10)
    assert.strictEqual(answers, 4000)
  })

  test(`when_ready_rejects_after_close ${where}`, async (t) => {
    const cache = modern(t, place)
    const closed = cache.close()
    await assert.rejects(cache.whenReady(), { code: 'CLOSED' })
    await closed
    await assert.rejects(cache.whenReady(), { code: 'CLOSED' })
  })

  test(`an_idle_connector_lets_the_process_exit ${where}`, async () => {
    const { status, signal, stdout, stderr } = await run(`
      const cache = memory(${JSON.stringify(place)})
      cache.whenReady().then(() => console.log('ready'))
      process.on('exit', () => console.log('exit'))
    `)
    assert.strictEqual(stderr, '')
    assert.deepStrictEqual([status, signal, stdout], [0, null, 'ready\nexit\n'])
  })

  test(`a_connector_that_nobody_waits_for_lets_the_process_exit ${where}`, async () => {
    const { status, signal } = await run(`memory(${JSON.stringify(place)})`)
    assert.deepStrictEqual([status, signal], [0, null])
  })

  test(`operations_under_way_keep_the_process ${where}`, async () => {
    const { status, stdout } = await run(`
      const cache = memory(${JSON.stringify(place)})
      let left = 10000
      const next = () => left-- > 0 ? cache.set('a', left, {}, next) : console.log('done')
      next()
    `)
    assert.deepStrictEqual([status, stdout], [0, 'done\n'])
  })

  test(`what_follows_a_refusal_keeps_the_process ${where}`, async () => {
    const options = JSON.stringify(place)
    const runs = Array.from({ length: 5 }, () => run(`
      const cache = memory(${options})
      cache.whenReady().then(async () => {
        await cache.get('').catch(() => {})
        cache.set('a', 1, {}, () => console.log('answered'))
      })
    `))
    for (const { stdout } of await Promise.all(runs)) assert.strictEqual(stdout, 'answered\n')
  })

  test(`whoever_listens_for_ready_hears_it ${where}`, async () => {
    for (const wait of ["on('ready', done)", "once('ready', done)", "prependListener('ready', done)", 'whenReady().then(done)']) {
      const { status, stdout } = await run(`
        const done = () => console.log('ready')
        new Connector({ type: 'memory', ...${JSON.stringify(place)} }).${wait}
      `)
      assert.deepStrictEqual([status, stdout], [0, 'ready\n'], wait)
    }
  })

  test(`close_keeps_the_process_until_it_is_done ${where}`, async () => {
    const { status, stdout } = await run(`
      const cache = memory(${JSON.stringify(place)})
      cache.on('close', () => console.log('event'))
      cache.close().then(() => console.log('promise'))
    `)
    assert.deepStrictEqual([status, stdout], [0, 'event\npromise\n'])
  })

  test(`work_submitted_before_exit_is_done ${where}`, async () => {
    const { status, stdout } = await run(`
      const cache = memory(${JSON.stringify(place)})
      let times = 0
      process.on('beforeExit', () => {
        if (times++ < 3) cache.set('a', times, {}, (error) => console.log('set', error))
      })
    `)
    assert.deepStrictEqual([status, stdout], [0, 'set null\n'.repeat(3)])
  })

  test(`a_process_may_exit_at_any_moment ${where}`, async () => {
    const moments = [
      'process.exit(7)',
      'process.nextTick(() => process.exit(7))',
      'setImmediate(() => process.exit(7))',
      "cache.get('a', () => process.exit(7))",
      'cache.whenReady().then(() => process.exit(7))',
      'cache.close().then(() => process.exit(7))',
      'cache.close(); setImmediate(() => process.exit(7))',
      "cache.on('close', () => process.exit(7)); cache.close()",
      "process.on('exit', () => { cache.get('late', () => {}); cache.close(); process.exitCode = 7 })",
      'process.exitCode = 7',
      "process.kill(process.pid, 'SIGTERM')"
    ]
    await Promise.all(moments.map(async (moment) => {
      const { status, signal, stderr } = await run(`
        const cache = memory(${JSON.stringify(place)})
        for (let i = 0; i < 20000; i++) cache.set('name ' + i, i, { i }, () => {})
        ${moment}
      `)
      const expected = moment.includes('SIGTERM') ? [null, 'SIGTERM'] : [7, null]
      assert.deepStrictEqual([status, signal], expected, `${moment}: ${stderr}`)
    }))
  })

  test(`worker_threads_have_connectors_of_their_own ${where}`, async (t) => {
    const code = `
      const { parentPort } = require('worker_threads')
      const Connector = require(${JSON.stringify(FOLDER)})
      const cache = new Connector({ type: 'memory', ...${JSON.stringify(place)} }, {})
      cache.set('a', 1, { from: 'worker' }, () => {
        cache.get('a', (error, version, data) => parentPort.postMessage([error, version, data]))
      })
    `
    const cache = modern(t, place)
    await Promise.all(Array.from({ length: 4 }, async () => {
      const worker = new Worker(code, { eval: true })
      // The last message and the exit come in one go.
      const [[message], [status]] = await Promise.all([once(worker, 'message'), once(worker, 'exit')])
      assert.deepStrictEqual(message, [null, 1, { from: 'worker' }])
      assert.strictEqual(status, 0)
    }))
    assert.deepStrictEqual(await call(cache, 'get', 'a'), [null, -1, null])
  })

  test(`worker_threads_may_be_terminated_at_any_moment ${where}`, async () => {
    const code = `
      const { parentPort } = require('worker_threads')
      const Connector = require(${JSON.stringify(FOLDER)})
      const caches = []
      for (let i = 0; i < 3; i++) caches.push(new Connector({ type: 'memory', ...${JSON.stringify(place)} }, {}))
      parentPort.postMessage('made')
      let sent = 0
      const next = () => {
        const cache = caches[sent++ % 3]
        if (sent % 2) cache.set('name ' + sent % 100, sent, { text: 'é' + sent }, next)
        else cache.get('name ' + sent % 100, next)
        if (sent % 1000 === 0) cache.headBulk(['name 1', 'name 2'], () => {})
      }
      for (let i = 0; i < 100; i++) next()
      if (Math.random() < 0.2) caches[0].close()
      if (Math.random() < 0.1) setTimeout(() => process.exit(), Math.random() * 20)
    `
    const rounds = 60
    let started = 0
    const one = async () => {
      while (started++ < rounds) {
        const worker = new Worker(code, { eval: true })
        const exited = once(worker, 'exit')
        if (started % 3 !== 0) await once(worker, 'message')
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 30))
        await worker.terminate()
        await exited
      }
    }
    await Promise.all([one(), one(), one()])
  })

  test(`a_connector_that_is_dropped_gives_its_handles_back ${where}`, async () => {
    const { status, stdout, stderr } = await run(`
      const count = () => process.report.getReport().libuv
        .filter(({ type }) => type === 'poll' || type === 'idle').length
      const before = count()
      let answers = 0
      const use = () => {
        for (let i = 0; i < 10; i++) {
          const cache = memory(${JSON.stringify(place)})
          const listener = () => cache.stats()
          cache.on('error', listener)
          cache.off('error', listener)
          cache.set('a', 1, {}, () => { answers++ })
        }
      }
      use()
      const most = count()
      const wait = (rounds) => {
        global.gc()
        if (count() === before || rounds === 0) {
          return console.log(JSON.stringify({ answers, given: most - before, kept: count() - before }))
        }
        setTimeout(wait, 20, rounds - 1)
      }
      setTimeout(wait, 20, 200)
    `, { flags: ['--expose-gc'] })
    assert.strictEqual(status, 0, stderr)
    assert.deepStrictEqual(JSON.parse(stdout), { answers: 10, given: 20, kept: 0 })
  })

  test(`a_connector_that_is_waited_for_is_not_collected ${where}`, async () => {
    const { status, stdout } = await run(`
      new Connector({ type: 'memory', ...${JSON.stringify(place)} }).on('ready', () => console.log('ready'))
      memory().close().then(() => console.log('closed'))
      memory().whenReady().then(() => console.log('waited'))
      for (let i = 0; i < 5; i++) global.gc()
      setImmediate(() => { for (let i = 0; i < 5; i++) global.gc() })
    `, { flags: ['--expose-gc'] })
    assert.strictEqual(status, 0)
    assert.deepStrictEqual(stdout.trim().split('\n').sort(), ['closed', 'ready', 'waited'])
  })
}

test('a_million_operations_leave_nothing_behind', async () => {
  const { status, stdout, stderr } = await run(`
    // Ours; V8 has timers in the loop as it likes.
    const isOurs = ({ type }) => type === 'poll' || type === 'idle'
    const count = () => process.report.getReport().libuv.filter(isOurs).length
    const cache = memory()
    const names = Array.from({ length: 1000 }, (_, i) => 'name ' + i)
    const round = (operations, width) => new Promise((resolve) => {
      let sent = 0
      let done = 0
      const next = () => {
        const name = names[sent % 1000]
        if (sent++ % 2 === 0) cache.set(name, sent, { sent }, answer)
        else cache.get(name, answer)
      }
      const answer = (error) => {
        if (error) throw error
        done++
        if (sent < operations) next()
        else if (done === operations) resolve()
      }
      for (let i = 0; i < width; i++) next()
    })
    const weigh = () => {
      for (let i = 0; i < 4; i++) global.gc()
      return process.memoryUsage()
    }
    ;(async () => {
      await round(100000, 1000)
      const handles = count()
      const before = weigh()
      await round(500000, 1)
      await round(500000, 1000)
      await round(200000, 200000)
      const after = weigh()
      console.log(JSON.stringify({
        handles: count() - handles,
        heap: after.heapUsed - before.heapUsed,
        external: after.external - before.external,
        inFlight: cache.stats().inFlight
      }))
    })()
  `, { flags: ['--expose-gc'], seconds: 120 })
  assert.strictEqual(status, 0, stderr)
  const { handles, heap, external, inFlight } = JSON.parse(stdout)
  assert.deepStrictEqual({ handles, inFlight }, { handles: 0, inFlight: 0 })
  assert.ok(heap < 2e6, `the heap grew by ${heap} bytes`)
  assert.ok(external < 1e6, `memory outside the heap grew by ${external} bytes`)
})
