// What valgrind.test.js runs: each native function once or more, with work pending at the end of one connector.
'use strict'

const Connector = require('..')

const services = {}
const long = 'ü'.repeat(5000)

function times (count, each) {
  return Promise.all(Array.from({ length: count }, (_, index) => new Promise((resolve, reject) => {
    each(index, (error, ...results) => error ? reject(error) : resolve(results))
  })))
}

async function use (options) {
  const connector = new Connector(options, services)
  await connector.whenReady()
  await times(100, (i, done) => connector.set(`key ${i % 40}`, i, { i, text: i % 10 ? 'ascii' : long }, done))
  await times(100, (i, done) => connector.get(`key ${i % 50}`, done))
  await times(1, (_, done) => connector.setMany([{ name: 'key 1', version: 1, data: long }, { name: 'key 2', version: 2, data: {} }], done))
  await times(1, (_, done) => connector.getMany(['key 1', 'key 2', 'not there'], done))
  await times(1, (_, done) => connector.headBulk(['key 1', 'key 2', 'not there'], done))
  await times(1, (_, done) => connector.deleteBulk(['key 1', 'key 2'], done))
  await times(1, (_, done) => connector.delete('key 3', done))
  await connector.close()
}

async function main () {
  await use({ type: 'memory' })
  await use({ type: 'memory', reactorThread: true })
  const abandoned = new Connector({ type: 'memory' }, services)
  abandoned.set('key', 1, { pending: true }, () => {})
  console.log('all was done')
  process.exit(0)
}

main()
