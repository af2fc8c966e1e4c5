#!/usr/bin/env node
/*
 * Carries out lines of mongosh's language, by the few of its methods that the pages use, since mongosh is in no package
 * registry that the tests use:
 *
 *   mongodb-shell.js PORT LINES
 *
 * Prints the documents that `find` gives, as Node.js shows them.
 */
'use strict'

const path = require('node:path')
const vm = require('node:vm')
const { execFileSync } = require('node:child_process')

const [port, lines] = process.argv.slice(2)

function send (command) {
  const client = path.join(__dirname, '../servers/mongodb.js')
  return JSON.parse(execFileSync(process.execPath, [client, port, 'test', JSON.stringify(command)]))
}

const collection = (name) => ({
  createIndex (key) {
    send({ createIndexes: name, indexes: [{ key, name: Object.entries(key).flat().join('_') }] })
  },

  find (filter = {}, projection = {}) {
    for (const document of send({ find: name, filter, projection }).cursor.firstBatch) console.log(document)
  }
})

vm.runInNewContext(lines, { db: new Proxy({}, { get: (_, name) => collection(name) }) })
