// A program with the modern interface, which must compile.
import Connector, { ConnectorError } from 'deepstream-connector'
import type { DeepstreamCache, DeepstreamStorage } from '@deepstream/types'

const services: Connector.Services = {}
const storage = new Connector({ type: 'postgres', host: 'db', notifications: { INSERT: true }, maxConnections: 4 }, services)
const cache: DeepstreamCache = new Connector({ type: 'memory', timeout: 1000 }, services)
const stored: DeepstreamStorage = storage
const modern: Connector.Modern = new Connector({ type: 'memory' }, services)
const chosen = new Connector({ type: 'sqlite', path: 'x.db', api: 'modern' })

storage.set('user/1', 1, { name: 'Ada' }, (error) => console.log(error && error.code))
storage.get('user/1', (error, version, data) => console.log(error, version === undefined || version + 1, data.name))
chosen.set('a', 1, {}, () => {})
storage.headBulk(['a'], (error, versions, missing) => console.log(error, versions && versions['a'], missing && missing.length))
storage.on('notification', (channel, payload) => console.log(channel.length, payload.length))

class Mine extends Connector<Connector.Services> {
  constructor () {
    super({ type: 'memory' }, {})
  }
}

async function main (): Promise<void> {
  const found = await modern.get('a')
  if (found !== null) console.log(found.version + 1, found.data)
  await new Mine().set('a', 1, {})
  const version: number | null = await modern.head('a')
  const { versions, missing } = await modern.headBulk(['a'])
  console.log(version, versions, missing, cache, stored)
  for await (const { name, version, data } of storage.records(100, null)) console.log(name, version, data)
}
main().catch((error: unknown) => console.log(error instanceof ConnectorError && error.key))
