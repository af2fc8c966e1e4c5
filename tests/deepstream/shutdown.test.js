/* How a server process with our connectors ends. */
'use strict'

const assert = require('node:assert')
const path = require('node:path')
const { describe, test } = require('./needing')('redis')
const { once } = require('node:events')
const { spawn } = require('node:child_process')
const classic = require('./classic')
const { freePort, within } = require('./harness')
const { atEnd, native, redis, sqlite, start } = require('./connector')

/* Runs ends.js and resolves to [exit code, signal], and what it printed. */
async function ends (t, kind, way, options) {
  const program = spawn(process.execPath, [path.join(__dirname, 'ends.js'), kind, way, JSON.stringify(options)])
  let output = ''
  for (const stream of [program.stdout, program.stderr]) stream.on('data', (text) => { output += text })
  atEnd(t, () => program.kill('SIGKILL'))
  return [...await within(once(program, 'close'), `the end of the ${kind} server's process`), output]
}

// Their servers are processes of their own, and mostly they wait.
describe("the end of a server's process", { concurrency: 2 }, () => {
  for (const kind of ['modern', 'classic']) {
    test(`${kind}: when a server has stopped, nothing of ours keeps its process`, async (t) => {
      const caches = [{ type: 'memory' }, (await redis(t)).options()]
      for (const cache of caches) {
        const ended = await ends(t, kind, 'stop', { cache: native(cache), storage: native(sqlite(t)) })
        assert.deepStrictEqual(ended, [0, null, ''])
      }
    })
  }

  test('a process that ends itself with writes under way neither crashes nor hangs', async (t) => {
    const caches = [{ type: 'memory' }, sqlite(t), (await redis(t)).options()]
    for (const cache of caches) {
      const ended = await ends(t, 'classic', 'exit', { cache: native(cache), storage: native(sqlite(t)) })
      assert.deepStrictEqual(ended, [0, null, ''])
    }
  })

  test('the classic server, which exits when a cache is late, does so with our threads running', async (t) => {
    const options = {
      config: { dependencyInitialisationTimeout: 500 },
      cache: native({ type: 'redis', port: await freePort() }),
      storage: native(sqlite(t))
    }
    await assert.rejects(start(t, classic, { child: true, ...options }), (error) => {
      assert.match(error.message, /it ended with 0;/)
      assert.match(error.log.join('\n'), /cache wasn't initialised in time/)
      return true
    })
  })
})
