// A program with the modern interface, which must compile.
import Connector, { ConnectorError } from 'deepstream-connector'
import { subscribe } from 'node:diagnostics_channel'
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

const { signal } = new AbortController()
const limits: Connector.CallOptions = { timeout: 100, signal }
storage.get('a', limits, (error, version, data) => console.log(error && error.code, version === undefined || version + 1, data))
storage.set('a', 1, {}, limits, (error) => console.log(error && error.applied))
storage.delete('a', { timeout: 5 }, (error) => console.log(error && error.key))
storage.head('a', { signal: null }, (error, version) => console.log(error, version === undefined || version + 1))
storage.headBulk(['a'], limits, (error, versions, missing) => console.log(error, versions, missing && missing.length))
storage.getMany(['a'], (error, records) => console.log(error && error.errors, records && records.map((record) => record && record.version + 1)))
storage.getMany(['a'], limits, (error, records) => console.log(error && error.results, records && records.length))
storage.setMany([{ name: 'a', version: 1, data: {} }], (error) => console.log(error && error.errors && error.errors.length))
storage.setMany([{ name: 'a', version: 1, data: {} }], limits, (error) => console.log(error && error.code))
storage.deleteBulk(['a'], limits, (error) => console.log(error && error.code))
storage.scan(null, 10, limits, (error, page) => console.log(error, page && page.cursor))
storage.command('query', { text: 'SELECT 1' }, limits, (error, answer) => console.log(error, answer))
const database = storage as Connector.Postgres<Connector.Services>
database.createSchema('a', limits, (error) => console.log(error && error.code))
database.getSchemaOverview(limits, (error, tables) => console.log(error, tables && tables['a']), 'ds')
database.subscribe(({ event, table }) => console.log(event.length, table.length), limits, (error) => console.log(error), 'ds')
database.query('SELECT 1', limits, (error, result) => console.log(error, result && result.rowCount), [1])
subscribe('tracing:deepstream-connector:get:error', (message) => {
  const { operation, type, target, key, count, error } = message as Connector.TraceContext
  console.log(operation === 'get', type.length, target.length, key, count, error)
})

async function main (): Promise<void> {
  const found = await modern.get('a')
  if (found !== null) console.log(found.version + 1, found.data)
  await new Mine().set('a', 1, {})
  const version: number | null = await modern.head('a')
  const { versions, missing } = await modern.headBulk(['a'])
  console.log(version, versions, missing, cache, stored)
  await modern.set('a', 1, {}, { timeout: 100 })
  await modern.delete('a', limits)
  const names: readonly string[] = ['a']
  const records: Array<Connector.VersionedRecord | null> = await modern.getMany(names, limits)
  const entries: Array<Connector.Entry<Connector.Services>> = [{ name: 'a', version: 1, data: records }]
  await modern.setMany(entries, null)
  const other: number | null = await modern.head('a', limits)
  const page: Connector.Page = await storage.scan(null, 10, limits)
  console.log(other, page.records.length, await modern.get('a', null), await storage.command('none', {}, limits))
  await storage.whenReady({ timeout: 1000, signal })
  await database.createSchema('a', limits)
  await database.unsubscribe(null, limits)
  const { rows } = await database.query('SELECT $1', limits, null, [1])
  console.log(rows, Object.keys(await database.getSchemaOverview('ds', limits)))
  await using mine = new Mine()
  await mine.headBulk(['a'], limits)
  for await (const { name } of storage.records(100, null, { signal })) console.log(name)
  for await (const { name, version, data } of storage.records(100, null)) console.log(name, version, data)
}
main().catch((error: unknown) => console.log(error instanceof ConnectorError && error.key))
