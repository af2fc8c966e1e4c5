/* What a deepstream server goes through with our connector when Redis fails it. */
'use strict'

const assert = require('node:assert')
const { describe, test } = require('./needing')('redis')
const classic = require('./classic')
const modern = require('./modern')
const { freePort, within } = require('./harness')
const { atEnd, native, pause, redis, sqlite, start, until } = require('./connector')

async function openRecord (client, name) {
  const record = client.record.getRecord(name)
  await record.whenReady()
  return record
}

/* Clients' updates of ten records, without a pause, until `stop`. */
async function putUnderLoad (t, client) {
  const records = await Promise.all(Array.from({ length: 10 }, (_, i) => openRecord(client, `load/${i}`)))
  const load = { updates: 0, acknowledged: 0, failures: [], records }
  const timer = setInterval(() => {
    const record = records[load.updates % records.length]
    record.setWithAck('n', ++load.updates).then(() => load.acknowledged++, (error) => load.failures.push(error))
  }, 4)
  load.stop = () => clearInterval(timer)
  atEnd(t, load.stop)
  load.goesOn = async () => {
    const before = load.acknowledged
    await until('updates are acknowledged', () => load.acknowledged >= before + 50)
  }
  return load
}

async function loseRedis (server, milliseconds) {
  await server.ctl('kill')
  await pause(milliseconds)
  await server.ctl('restart')
}

const losses = (deepstream) => deepstream.log.filter((line) => line.includes('lost Redis'))
const connections = (deepstream) => deepstream.log.filter((line) => line.includes('connected to Redis'))

// Their servers are processes of their own, and mostly they wait.
describe('when Redis fails a server', { concurrency: 2 }, () => {
  test('Redis dies under load and is back before the server gives up: no update is lost', async (t) => {
    const server = await redis(t, 'durable')
    const options = { config: { record: { cacheRetrievalTimeout: 8000 } }, cache: native(server.options()), storage: native(sqlite(t)) }
    const deepstream = await start(t, modern, { child: true, ...options })
    const load = await putUnderLoad(t, deepstream.client)
    await load.goesOn()
    await loseRedis(server, 500)
    await load.goesOn()
    load.stop()
    await until('every update is acknowledged', () => load.acknowledged === load.updates)

    const other = await deepstream.connect()
    for (const record of load.records) {
      assert.deepStrictEqual(await other.record.snapshot(record.name), record.get())
      assert.strictEqual(await other.record.head(record.name), record.version)
    }
    assert.deepStrictEqual([load.failures, deepstream.errors], [[], []])
    assert.strictEqual(losses(deepstream).length, 1, 'one line for one outage')
  })

  test('Redis is away for longer than the server waits: it lives, and updates go on afterwards', async (t) => {
    const server = await redis(t, 'durable')
    const deepstream = await start(t, modern, { child: true, cache: native(server.options()), storage: native(sqlite(t)) })
    await (await openRecord(deepstream.client, 'quiet')).setWithAck({ colour: 'red' })
    const load = await putUnderLoad(t, deepstream.client)
    await load.goesOn()
    await loseRedis(server, 1500)
    load.stop()
    // The next attempt may be further away than the server waits for a read.
    await until('the connection stands again', () => connections(deepstream).length === 2)
    await until('the server has given up what it waited for', () => deepstream.log.some((line) => /CACHE_RETRIEVAL_TIMEOUT/.test(line)))

    // The updates that it gave up are lost to the server, which takes none of their records' next ones, since a version is
    // missing before them. That is its own business; what it did not give up goes on.
    const [writer, reader] = [await deepstream.connect(), await deepstream.connect()]
    for (const name of ['quiet', 'new']) {
      const record = await openRecord(writer, name)
      await within(record.setWithAck('late', true), 'an update after the outage')
    }
    assert.deepStrictEqual(await reader.record.snapshot('quiet'), { colour: 'red', late: true })
    assert.deepStrictEqual(await reader.record.snapshot('new'), { late: true })
    for (const { name } of load.records) assert.ok((await reader.record.snapshot(name)).n > 0)
    assert.strictEqual(deepstream.server.exitCode, null)
    assert.strictEqual(losses(deepstream).length, 1, 'one line for one outage')
  })

  for (const kind of [modern, classic]) {
    // The two generations spell it differently.
    const patience = kind === modern ? 'dependencyInitializationTimeout' : 'dependencyInitialisationTimeout'

    test(`${kind.name}: a server waits for a Redis that comes a little later`, async (t) => {
      const port = await freePort()
      const starting = start(t, kind, { child: true, config: { [patience]: 8000 }, cache: native({ type: 'redis', port }) })
      starting.catch(() => {})
      await pause(1000)
      await redis(t, '--port', String(port))
      const { client } = await starting
      const record = client.record.getRecord('bike')
      await within(new Promise((resolve) => record.whenReady(resolve)), 'the record')
      record.set({ colour: 'red' })
      assert.deepStrictEqual(record.get(), { colour: 'red' })
    })

    test(`${kind.name}: a server with a wrong password ends, says why, and tells no password`, async (t) => {
      const server = await redis(t, 'password=right-3141')
      const cache = native({ ...server.options(), password: 'wrong-2718' })
      await assert.rejects(start(t, kind, { child: true, cache }), (error) => {
        const output = error.log.join('\n')
        assert.match(error.message, /it ended with/)
        assert.match(output, /password/)
        assert.doesNotMatch(output + error.message, /3141|2718/)
        return true
      })
    })
  }
})
