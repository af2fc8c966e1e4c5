// A program with the classic interface, which must compile.
import Connector = require('deepstream-connector')

const cache = new Connector({ type: 'redis', host: '127.0.0.1', port: '6379', tls: { ca: Buffer.from('') } })
const same: Connector.Classic = cache
cache.set('user/1', { _v: 1, _d: { name: 'Ada' } }, (error) => {
  if (error) console.log(error.code, error.retryable, error.applied, error.operation, error.key)
})
cache.set('user/1', ['any', 'value'], () => {}, { the: 'fourth' })
cache.get('user/1', (error, record) => console.log(error, record._d.name))
cache.get('user/1', { timeout: 100 }, (error, record) => console.log(error && error.code, record._d))
cache.set('user/1', { _v: 1, _d: {} }, { timeout: 100 }, (error) => console.log(error && error.code))
cache.delete('user/1', (error) => console.log(error && error.message))
cache.on('ready', () => cache.close())
cache.on('error', (error) => console.log(error.fatal))
cache.on('log', (level, line) => console.log(level.length, line.length))

async function main (): Promise<void> {
  await same.set('a', 5)
  console.log((await same.get('a')) as number, await same.get('a', { timeout: 5 }))
  await same.setMany([{ name: 'a', value: 5 }, { name: 'b', value: { _v: 1, _d: {} } }])
  for (const value of await same.getMany(['a', 'b'])) console.log(value._v)
  await same.set('a', ['any'], { signal: AbortSignal.timeout(5) })
  const other = new Connector({ type: 'memory', api: 'classic' }, {})
  other.get('a', (error, value) => console.log(error, value._v))
  const promises: Promise<void> = other.set('a', { firstname: 'Wolfram' })
  await promises
}
main().catch((error: unknown) => {
  if (error instanceof Connector.ConnectorError) console.log(error.code)
})
