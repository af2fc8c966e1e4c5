/*
 * A program that runs a server with our connectors in its own process and uses it. `stop`: it stops everything and then
 * only waits, so that it ends unless something keeps it. `exit`: it ends itself at once, with writes under way.
 *
 *   node ends.js modern|classic stop|exit '{"cache": {"path": …, "options": …}, …}'
 */
'use strict'

async function main (kind, way, options) {
  const deepstream = await require(`./${kind}`).start(options)
  const record = deepstream.client.record.getRecord('bike')
  await new Promise((resolve) => record.whenReady(resolve))
  record.set('n', 1)
  if (way === 'stop') return deepstream.stop()

  const { path, options: of } = options.cache
  const Connector = require(path)
  const connector = new Connector(of)
  for (let i = 0; i < 10000; i++) connector.set(`bike/${i}`, { _v: 1, _d: { i } }, () => {})
  setImmediate(() => process.exit(0))
}

main(process.argv[2], process.argv[3], JSON.parse(process.argv[4]))
