/* The tests of deepstream's own connectors, as they were published, with our connector in the place of theirs. */
'use strict'

const assert = require('node:assert')
const path = require('node:path')
const { execFile } = require('node:child_process')
const needing = require('./needing')
const { modules } = require('./harness')
const { instance } = require('./connector')

/* What ours gets, beside the options that their tests give it. */
const REDIS = async (t) => ({ type: 'redis', host: '127.0.0.1', port: (await instance(t, 'redis')).port })
const MONGODB = async (t) => {
  const { port } = await instance(t, 'mongodb')
  return { type: 'mongodb', connectionString: `mongodb://127.0.0.1:${port}` }
}

/*
 * `file` is their connector, `tests` how many there are. Left out is what no other connector can pass: tests that look into
 * theirs.
 */
const SUITES = [
  {
    name: 'deepstream.io-cache-redis 0.2.6', server: 'redis', options: REDIS, folder: 'cache-redis-0',
    file: 'src/cache-connector.js', spec: 'test/cache-connectorSpec.js', runner: 'jasmine', tests: 8
  },
  {
    name: 'deepstream.io-cache-redis 1.2.2', server: 'redis', options: REDIS, folder: 'cache-redis-1',
    file: 'src/connector.js', spec: 'src/connector.spec.js', runner: 'mocha', tests: 9
  },
  {
    name: '@deepstream/cache-redis 2.0.9', server: 'redis', options: REDIS, folder: 'cache-redis-2',
    file: 'dist/src/connector.js', spec: 'dist/test/connector.spec.js', runner: 'mocha', tests: 10
  },
  {
    // The one asks for a collection object of their client, the other for an error that is no Error.
    name: 'deepstream.io-storage-mongodb 1.1.1', server: 'mongodb', options: MONGODB, folder: 'storage-mongodb-1',
    file: 'src/connector.js', spec: 'test/cache-connector.spec.js', runner: 'mocha', tests: 8,
    without: 'parses keys|refuses updates with invalid keys'
  },
  {
    name: '@deepstream/storage-mongodb 2.0.8', server: 'mongodb', options: MONGODB, folder: 'storage-mongodb-2',
    file: 'dist/src/connector.js', spec: 'dist/test/storage-connector.spec.js', runner: 'mocha', tests: 6
  }
]

/* How each runner is asked, and how it says how many tests have passed. */
const RUNNERS = {
  jasmine: { words: (spec) => ['jasmine/bin/jasmine.js', '--random=false', spec], passed: /(\d+) specs?, 0 failures/ },
  mocha: {
    words: (spec, without) => ['mocha/bin/mocha.js', '--exit', ...(without ? ['--grep', without, '--invert'] : []), spec],
    passed: /(\d+) passing/
  }
}

for (const { name, server, options, folder, file, spec, runner, tests, without } of SUITES) {
  const { test } = needing(server)
  test(`the tests of ${name} pass with our connector`, async (t) => {
    const installed = modules('official')
    const there = (...parts) => path.join(installed, folder, ...parts)
    const { words, passed } = RUNNERS[runner]
    const [program, ...rest] = words(there(spec), without)
    const output = await run([path.join(installed, program), ...rest], {
      CONNECTOR_FILE: there(file), CONNECTOR_OPTIONS: JSON.stringify(await options(t))
    })
    assert.strictEqual(Number((passed.exec(output) || [])[1]), tests, output)
    assert.doesNotMatch(output, /\d+ (failing|pending)/)
  })
}

function run (words, environment) {
  const preloaded = ['--require', path.join(__dirname, 'replaced.js'), ...words]
  return new Promise((resolve) => {
    const env = { ...process.env, ...environment }
    // What a runner of ours has set is not for theirs.
    delete env.NODE_TEST_CONTEXT
    execFile(process.execPath, preloaded, { env, timeout: 120000 }, (error, stdout, stderr) => {
      resolve(`${stdout}${stderr}${error ? `\n${error.message}` : ''}`)
    })
  })
}
