#!/usr/bin/env node
/*
 * A small client for the demo's server, to go on by hand.
 *
 *   node demo/client.js list                          the bikes
 *   node demo/client.js get bikes/1                   one record
 *   node demo/client.js set bikes/1 rider '"Ada"'     a value in a record, as JSON or plain text
 *   node demo/client.js delete bikes/1
 *   node demo/client.js watch bikes/1                 what anybody changes in it, until Ctrl-C
 *
 * It finds the server by target/demo/config.yml, or by the file that DEMO_CONFIG names.
 */
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { portOf } = require('./server')
const { table } = require('./terminal')

const CONFIG = process.env.DEMO_CONFIG || path.join(__dirname, '../target/demo/config.yml')

/* deepstream's client; `modules` is the node_modules that has it. */
async function connect (modules, port, options) {
  const { DeepstreamClient } = require(path.join(modules, '@deepstream/client'))
  const client = new DeepstreamClient(`127.0.0.1:${port}/deepstream`, options)
  // Without a listener an error would end the process; what failed is told by the call that failed.
  client.on('error', () => {})
  await client.login()
  return client
}

async function open (client, name) {
  const record = client.record.getRecord(name)
  await record.whenReady()
  return record
}

/* Every bike on the list as a row of a table. */
async function bikes (client) {
  const rows = [['record', 'version', 'name', 'where', 'ridden']]
  for (const id of await client.record.snapshot('bikes')) {
    // A bike that was deleted is still on the list.
    if (!await client.record.has(id)) continue
    const bike = await client.record.snapshot(id)
    rows.push([id, await client.record.head(id), bike.name, bike.rider ? `with ${bike.rider}` : `at ${bike.station}`, `${(bike.ridden ?? 0).toLocaleString('en')} m`])
  }
  return table(rows)
}

function valueOf (text) {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

const COMMANDS = {
  list: (client) => bikes(client),
  get: async (client, name) => {
    if (!await client.record.has(name)) return 'there is no such record'
    return `version ${await client.record.head(name)}: ${JSON.stringify(await client.record.snapshot(name), null, 2)}`
  },
  set: async (client, name, field, ...words) => {
    const record = await open(client, name)
    await record.setWithAck(field, valueOf(words.join(' ')))
    return `done: version ${record.version}`
  },
  delete: async (client, name) => {
    await (await open(client, name)).delete()
    return 'done'
  },
  watch: async (client, name) => {
    const record = await open(client, name)
    record.subscribe((data) => console.log(`version ${record.version}: ${JSON.stringify(data)}`), true)
    await new Promise(() => {})
  }
}

/* How many words each command needs. */
const WORDS = { list: 0, get: 1, set: 3, delete: 1, watch: 1 }

function fail (message) {
  console.error(message)
  process.exit(1)
}

async function main ([command, ...words]) {
  if (!Object.hasOwn(COMMANDS, command ?? '') || words.length < WORDS[command]) {
    const help = fs.readFileSync(__filename, 'utf8').match(/^ \* {3}.*$/gm).map((line) => line.slice(5))
    fail(help.join('\n'))
  }
  const port = portOf(CONFIG)
  if (port === null) fail(`there is no ${path.relative('.', CONFIG)}; "make demo" makes it`)
  const late = setTimeout(() => fail(`no deepstream server answers on 127.0.0.1:${port}; start it by the command that "make demo" ends with`), 3000)
  const client = await connect(path.join(path.dirname(CONFIG), 'node_modules'), port, {})
  clearTimeout(late)
  console.log(await COMMANDS[command](client, ...words))
  client.close()
}

if (require.main === module) main(process.argv.slice(2)).catch((error) => fail(error.message || String(error)))

module.exports = { connect, open, bikes }
