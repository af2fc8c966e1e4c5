/*
 * The demo: a small town shares five bikes. Their records live in a real deepstream server, whose cache and storage are
 * our connector; the server is stopped and started again, and every record comes back from the file.
 */
'use strict'

const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const { once } = require('node:events')
const { parseArgs, promisify } = require('node:util')
const { execFile, spawn } = require('node:child_process')
const { bikes, connect, open } = require('./client')
const { Server, choosePort, configuration, portOf } = require('./server')
const { bold, dim, inWords, print, red, step } = require('./terminal')

const ROOT = path.join(__dirname, '..')
const ADDON = path.join(ROOT, 'bindings/node')
const TARGET = process.env.CARGO_TARGET_DIR || path.join(ROOT, 'target')
const QUERY = path.join(TARGET, 'release/query-sqlite')

const FLEET = [
  { name: 'Comet', station: 'Harbour', rider: null, ridden: 0 },
  { name: 'Daisy', station: 'Market Square', rider: null, ridden: 0 },
  { name: 'Falcon', station: 'Harbour', rider: null, ridden: 0 },
  { name: 'Otter', station: 'Old Mill', rider: null, ridden: 0 },
  { name: 'Zoë', station: 'Market Square', rider: null, ridden: 0 }
]
const UPDATES = 1000

const QUERIES = [
  "SELECT id, version, data->>'$.name' AS name, data->>'$.rider' AS rider, data->>'$.ridden' AS ridden FROM bikes ORDER BY id",
  "SELECT data->>'$.station' AS station, count(*) AS bikes, group_concat(data->>'$.name', ', ') AS names FROM bikes GROUP BY station"
]

/* A file as a person would type it. */
function relative (file) {
  const name = path.relative(process.cwd(), file)
  return name.startsWith('..') ? file : name
}

/* Programs under way; what is left of them ends with the demo, and so does what they started. */
const programs = new Set()
process.on('exit', () => {
  for (const { pid } of programs) process.kill(-pid, 'SIGTERM')
})

/* Runs a program with all its output in a file; fails with the end of it. */
async function logged (log, command, args, env) {
  const output = fs.openSync(log, 'w')
  const options = { cwd: ROOT, detached: true, stdio: ['ignore', output, output], env: { ...process.env, ...env } }
  const program = spawn(command, args, options)
  programs.add(program)
  fs.closeSync(output)
  const [code, signal] = await once(program, 'close').finally(() => programs.delete(program))
  if (code === 0) return
  const end = fs.readFileSync(log, 'utf8').trimEnd().split('\n').slice(-12).join('\n')
  throw new Error(`${relative(command)} ended with ${signal || code}; ${relative(log)} ends with:\n${end}`)
}

const query = async (file, sql) => (await promisify(execFile)(QUERY, [file, sql])).stdout.trimEnd()

/* All that a client can know about records: content and version. */
async function everything (client) {
  const found = {}
  for (const name of ['bikes', ...await client.record.snapshot('bikes')]) {
    found[name] = { version: await client.record.head(name), data: await client.record.snapshot(name) }
  }
  return found
}

function settings () {
  const { values } = parseArgs({ options: { dir: { type: 'string' }, port: { type: 'string', default: '6020' } } })
  const dir = path.resolve(values.dir || path.join(TARGET, 'demo'))
  return {
    port: Number(values.port),
    modules: path.join(dir, 'node_modules'),
    config: path.join(dir, 'config.yml'),
    file: path.join(dir, 'bikes.sqlite'),
    log: (name) => path.join(dir, `${name}.log`),
    dir
  }
}

async function prepare (place) {
  fs.mkdirSync(place.dir, { recursive: true })
  for (const end of ['', '-wal', '-shm']) fs.rmSync(place.file + end, { force: true })
  fs.rmSync(place.log('server'), { force: true })

  if (!fs.existsSync(path.join(ADDON, 'deepstream-connector.node'))) {
    print('The first step compiles Rust and SQLite: this once it takes a few minutes.')
    print()
  }
  const build = async () => {
    const features = { FEATURES: process.env.FEATURES || 'memory sqlite redis' }
    await logged(place.log('build'), path.join(ADDON, 'build'), ['--at-least'], features)
    await logged(place.log('build-query'), process.env.CARGO || 'cargo', ['build', '--release', '--package', 'query-sqlite'])
  }
  const install = async () => {
    await logged(place.log('npm'), path.join(ROOT, 'tests/deepstream/install'), ['modern'])
    fs.rmSync(place.modules, { force: true })
    fs.symlinkSync(fs.readFileSync(place.log('npm'), 'utf8').trim().split('\n').pop(), place.modules)
  }
  await step('Build the connector, and get deepstream\'s own server from npm', () => Promise.all([build(), install()]))
}

async function story (place, server, port) {
  const { version } = require(path.join(place.modules, '@deepstream/server/package.json'))
  const clients = []
  const join = async () => {
    const client = await connect(place.modules, port)
    clients.push(client)
    return client
  }
  const leave = () => { for (const client of clients.splice(0)) client.close() }

  await step(`Start a deepstream ${version} server`, async (note) => {
    await server.start()
    note(`${relative(place.config)} tells it to load our connector twice:`)
    note(`as its cache, with the type ${bold('memory')}, and as its storage, with the type ${bold('sqlite')}`)
  })

  const ada = await join()
  await step('Ada makes a list of five bikes', async (note) => {
    const ids = FLEET.map((_, index) => `bikes/${index + 1}`)
    for (const [index, bike] of FLEET.entries()) await (await open(ada, ids[index])).setWithAck(bike)
    const list = ada.record.getList('bikes')
    await list.whenReady()
    await list.setEntriesWithAck(ids)
    note(await bikes(ada))
  })

  const grace = await join()
  await step('Ada takes Comet for a ride, and Grace sees it at once', async (note) => {
    const seen = await open(grace, 'bikes/1')
    const changed = new Promise((resolve) => seen.subscribe('rider', resolve))
    const begun = performance.now()
    const comet = await open(ada, 'bikes/1')
    await comet.setWithAck({ ...comet.get(), rider: 'Ada', station: null })
    const rider = await changed
    note(`Grace's screen says "Comet is with ${rider}" after ${inWords(performance.now() - begun)}`)
  })

  await step(`A busy day: ${UPDATES.toLocaleString('en')} updates of how far each bike went`, async (note) => {
    const begun = performance.now()
    const records = await Promise.all(FLEET.map((_, index) => open(ada, `bikes/${index + 1}`)))
    const updates = []
    for (let i = 0; i < UPDATES; i++) {
      const record = records[i % records.length]
      updates.push(record.setWithAck('ridden', record.get('ridden') + 10 + i % records.length))
    }
    await Promise.all(updates)
    note(`the server has acknowledged every one, ${Math.round(UPDATES / (performance.now() - begun) * 1000).toLocaleString('en')} a second`)
  })

  const before = await step('Grace lists the bikes', async (note) => {
    // A client of its own, which has nothing yet and so asks the server.
    const reader = await join()
    note(await bikes(reader))
    return everything(reader)
  })
  leave()

  await step('Stop the server: its process ends, and its memory with it', () => server.stop())
  await step('Start it again', () => server.start())

  await step('Every record is back, from the file', async (note) => {
    const reader = await join()
    const after = await everything(reader)
    assert.deepStrictEqual(after, before, 'the records differ from those before the restart')
    note(`${FLEET.length} bikes and their list, each with the content and the version it had:`)
    note(await bikes(reader))
  })
  leave()
  await step('Stop the server', () => server.stop())

  await step('Ask the file itself, in SQL', async (note) => {
    note('the record bikes/1 is the row 1 of the table bikes, its content is JSON:')
    for (const sql of QUERIES) {
      note('')
      note(sql.split(/ (?=FROM|ORDER|GROUP)/).map((line, index) => dim(index ? `  ${line}` : line)).join('\n'))
      note(await query(place.file, sql))
    }
  })
}

function goOn (place) {
  const config = relative(place.config)
  const client = config === 'target/demo/config.yml' ? 'node demo/client.js' : `DEMO_CONFIG=${config} node demo/client.js`
  print(bold('Now you'))
  print('Start the server again, and leave it running:')
  print(`    ${relative(place.modules)}/.bin/deepstream start -c ${config}`)
  print('Then, in a second terminal:')
  print(`    ${client} list`)
  print(`    ${client} set bikes/1 rider Grace`)
  print(`    ${client} watch bikes/1`)
  print(`    ${relative(QUERY)} ${relative(place.file)} "SELECT * FROM bikes"`)
}

async function main () {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(130))
  const begun = performance.now()
  const place = settings()
  print(bold('A small town shares five bikes'))
  print('Their records live in a deepstream server: in memory for speed, in an SQLite file for')
  print('good. Both are the work of this library. Everything runs on this machine alone, and')
  print('nothing of it is left running.')
  print()
  const last = portOf(place.config)
  if (last !== null && await choosePort(last) !== last) {
    throw new Error(`the server of an earlier demo seems to run still, on port ${last}; stop it first (Ctrl-C in its terminal)`)
  }
  await prepare(place)
  const port = await choosePort(place.port)
  fs.writeFileSync(place.config, configuration({ port, addon: ADDON, file: place.file }))

  const command = path.join(place.modules, '.bin/deepstream')
  const server = new Server(command, place.config, place.log('server'))
  process.on('exit', () => server.kill())
  await story(place, server, port)
  print()
  print(`All of it took ${inWords(performance.now() - begun)}.`)
  print()
  goOn(place)
}

main().catch((error) => {
  if (error.step) print()
  print(red(error.step ? `The step "${error.step}" failed:` : 'The demo cannot run:'))
  print(error.message)
  process.exit(1)
})
