import { EventEmitter } from 'events'

declare namespace Connector {
  /** Options of the connector; those of each backend are on its page in `docs/backends`. */
  interface Options {
    /** Which cache or database. */
    type: string
    /** Which of deepstream's interfaces; without it, `modern` if `services` are given. */
    api?: 'classic' | 'modern' | null
    [option: string]: unknown
  }

  /** What a modern server hands to its plugins, as far as it is used here. */
  interface Services {
    logger?: Logger | { getNameSpace (name: string): Logger }
    [service: string]: any
  }

  /** Any of the methods may be missing. */
  interface Logger {
    debug? (event: string, message?: string): void
    info? (event: string, message?: string): void
    warn? (event: string, message: string): void
    error? (event: string, message: string): void
  }

  type Code =
    | 'INVALID_ARGUMENT' | 'CONFIGURATION' | 'BUSY' | 'CLOSED' | 'TIMEOUT' | 'UNAVAILABLE'
    | 'AUTHENTICATION' | 'BACKEND' | 'TOO_LARGE' | 'CORRUPT' | 'PANIC' | 'FORKED' | 'UNSUPPORTED'

  /** Later versions may have more codes. */
  interface ConnectorError extends Error {
    code: Code | string
    /** Whether the same call may succeed later without a change. */
    retryable: boolean
    /**
     * Whether the operation may have been carried out although it failed. `no`: it was not, and
     * will not be; so for whatever changes nothing. `unknown`: it was given to the server, and
     * nobody knows what became of it. Of `deleteBulk`, `unknown` if it is so for any of the names,
     * or if some were deleted.
     */
    applied: 'no' | 'unknown'
    /** On errors of the event `error`: waiting will not help. */
    fatal?: boolean
    cause?: unknown
  }

  /** A record as classic servers have it. Fields beside these two are not stored. */
  interface ClassicRecord {
    /** A whole number; 0 if it is missing. */
    _v?: number
    _d: any
  }

  interface NamedRecord { name: string, version: number, data: any }

  /** Some of all records; the cursor is null on the last page. */
  interface Page { records: NamedRecord[], cursor: string | null }

  interface Percentiles { p50: number, p90: number, p99: number, max: number }
  interface OperationStatistics { count: number, errors: number, latencyMicroseconds: Percentiles }

  interface Statistics {
    ready: boolean
    inFlight: number
    operations: Record<'get' | 'head' | 'set' | 'delete', OperationStatistics>
    batches: { count: number, p50: number, max: number }
    coalesced: number
    retries: number
    connects: number
    outages: number
  }

  type Done = (error: ConnectorError | null) => void

  /** What happened in a schema of PostgreSQL; there is a key for INSERT, UPDATE and DELETE. */
  interface SchemaNotification { event: string, table: string, key?: string }

  interface QueryResult { rows: any[], rowCount: number }

  /**
   * A connector of the type `postgres` has these as well, under the names of deepstream's own
   * one. Without a callback they return a promise.
   */
  interface Postgres extends Connector {
    createSchema (name: string): Promise<void>
    createSchema (name: string, callback: Done): void
    /** Destroys all tables in it, too. */
    destroySchema (name: string): Promise<void>
    destroySchema (name: string, callback: Done): void
    /** The number of rows of each table. */
    getSchemaOverview (schema?: string): Promise<Record<string, number>>
    getSchemaOverview (callback: (error: ConnectorError | null, tables?: Record<string, number>) => void, schema?: string): void
    /** Has a listener called for what the option `notifications` says; see `docs/backends/postgres.md`. */
    subscribe (listener: (notification: SchemaNotification) => void): Promise<void>
    subscribe (listener: (notification: SchemaNotification) => void, done?: Done, schema?: string): void
    /** Without a listener, all of them. */
    unsubscribe (listener?: (notification: SchemaNotification) => void): Promise<void>
    unsubscribe (listener?: (notification: SchemaNotification) => void, done?: Done, schema?: string): void
    /** Sends a statement; `$1` and so on stand for the values. */
    query (text: string, callback: (error: ConnectorError | null, result?: QueryResult) => void, values?: any[], silent?: boolean): void
    /** Closes the connector. */
    destroy (callback?: () => void): Promise<void> | void
  }
}

/**
 * A connection to a cache or database: a plugin for deepstream servers of all generations, and
 * useful without one.
 *
 * It has the classic interface (servers 0.x to 3.x) when it is made with options alone, and the
 * modern one (from 5.x) when it is made with options and services. `options.api` overrules that.
 *
 * Every callback is called exactly once, never before the method has returned. Operations on one
 * name happen in the order of the calls. Data is read by `set` before it returns.
 *
 * The process stays alive for operations under way, for whoever waits for the first connection
 * (by `whenReady()` or a listener for `ready`), and for `close()`; not for an idle connector.
 *
 * Events: `ready`, for the first connection and after each outage. `error`, once for each outage
 * and for what no waiting helps against (`error.fatal`); nobody has to listen, except for the
 * latter on a classic connector. `close`. `log` with a level and a line. `notification` with a
 * channel and a payload, where a command asked for them.
 */
declare class Connector extends EventEmitter {
  /** @throws a `ConnectorError` with code `CONFIGURATION` that names the option */
  constructor (options: Connector.Options, services?: Connector.Services | null, config?: unknown)

  static readonly default: typeof Connector

  /** Whether the connection stands. Like the next four, a property that servers may assign. */
  isReady: boolean
  name: string
  version: string
  type: string
  description: string

  /** Does nothing: connecting begins with the construction. */
  init (): void

  /** Rejects only for what waiting does not mend: wrong credentials, `close()`. */
  whenReady (): Promise<void>

  /** Accepts nothing more and lets accepted operations finish, up to `closeTimeout`. */
  close (): Promise<void>

  /** Modern: without a record, the version is -1 and the data is null. */
  get (name: string, callback: (error: Connector.ConnectorError | null, version?: number, data?: any) => void, metaData?: unknown): void
  /** Classic: without a record, null. */
  get (name: string, callback: (error: Connector.ConnectorError | null, record?: Connector.ClassicRecord | null) => void): void

  /** Modern. The version is a whole number. */
  set (name: string, version: number, data: any, callback: Connector.Done, metaData?: unknown): void
  /** Classic. */
  set (name: string, record: Connector.ClassicRecord, callback: Connector.Done): void

  delete (name: string, callback: Connector.Done, metaData?: unknown): void

  deleteBulk (names: string[], callback: Connector.Done, metaData?: unknown): void

  /** Without a record, the version is -1. */
  head (name: string, callback: (error: Connector.ConnectorError | null, version?: number) => void): void

  /** The versions of the records that exist, and the names of the others. */
  headBulk (names: string[], callback: (error: Connector.ConnectorError | null, versions?: Record<string, number>, missing?: string[]) => void): void

  /**
   * A page of at most `limit` of all records, in an order of the database's own: the first one
   * (`cursor` null), or the one after the page that gave the cursor. A record that is there all
   * the while is on one page. Caches cannot list their records.
   */
  scan (cursor: string | null | undefined, limit: number, callback: (error: Connector.ConnectorError | null, page?: Connector.Page) => void): void

  /** All records, page by page. */
  records (pageSize?: number): AsyncGenerator<Connector.NamedRecord, void, undefined>

  /** Carries out a command that only this type of database has; see `docs/listing-and-commands.md`. */
  command (name: string, parameters: any, callback: (error: Connector.ConnectorError | null, answer?: any) => void): void

  /** Counters and latencies since the connector was made. */
  stats (): Connector.Statistics
}

export = Connector
