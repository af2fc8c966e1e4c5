import { EventEmitter } from 'events'
import * as options from './options'

declare namespace Connector {
  /** Options of the connector, by `type`; those of each backend are on its page in `docs/backends`. */
  type Options = options.Options

  /**
   * Which of deepstream's interfaces a connector has: what its constructor is given as `services`,
   * or as the option `api`. `Classic` and `Modern` are connectors of either kind.
   */
  type Kind = Services | 'classic' | 'modern' | null | undefined
  type Classic = Connector<undefined>
  type Modern = Connector<Services>

  /** What the callback of `get` is told. Modern: without a record, the version is -1 and the data are null. */
  type GetCallback<K> = K extends 'classic' | null | undefined
    ? (error: ConnectorError | null, value?: any) => void
    : (error: ConnectorError | null, version?: number, data?: any) => void

  /** What a promise of `get` has; null without a record. */
  type Found<K> = K extends 'classic' | null | undefined ? any : VersionedRecord | null

  /** What `set` stores: classic, any value that JSON can hold; modern, a whole number and data. */
  type Stored<K> = K extends 'classic' | null | undefined ? [value: any] : [version: number, data: any]

  /** A record that `setMany` stores: what `set` takes. */
  type Entry<K> = K extends 'classic' | null | undefined
    ? { name: string, value: any }
    : { name: string, version: number, data: any }

  /** Of a listing. */
  interface ScanOptions extends CallOptions {
    /** Only records whose names begin with this; where the database can tell, it sends no others. */
    prefix?: string | null
  }

  /** Of one operation. */
  interface CallOptions {
    /**
     * Its deadline in milliseconds from now, a whole number from 1 on, instead of the connector's
     * own. When it has passed, the error is `TIMEOUT`.
     */
    timeout?: number | null
    /**
     * Gives the operation up when it is aborted: the promise or the callback gets `signal.reason`
     * at once. What writes, or a command, may have been carried out all the same, or will be,
     * unless the signal was aborted before the call.
     */
    signal?: AbortSignal | null
  }

  /**
   * What subscribers of the channels `tracing:deepstream-connector:<operation>:<event>` of
   * `node:diagnostics_channel` are told, the same object for each event of an operation.
   */
  interface TraceContext {
    operation: Operation
    /** Of the connector's options. */
    type: string
    /** Backend and server, in words. */
    target: string
    /** The name that the operation was called with, if it was one. */
    key?: string
    /** How many names or entries the operation was called with, if it takes a list. */
    count?: number
    /** What a promise would have, from `asyncStart` on. */
    result?: any
    /** From `error` on. A `ConnectorError`, or the reason of a signal. */
    error?: any
  }

  type Operation =
    | 'get' | 'set' | 'delete' | 'head' | 'getMany' | 'setMany' | 'deleteBulk' | 'headBulk' | 'scan' | 'command'

  interface VersionedRecord { version: number, data: any }

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

  /** Whatever fails. */
  class ConnectorError extends Error {
    constructor (code: Code, retryable: boolean, message: string, applied?: 'no' | 'unknown')

    /** Later versions may have more codes. */
    code: Code | (string & {})
    /** Whether the same call may succeed later without a change. */
    retryable: boolean
    /** Which method failed, such as `get`; not on what belongs to no operation. */
    operation?: string
    /** The name that it was called with, if it was one. */
    key?: string
    /** Of a record that `records` could not give: where to go on behind its page. */
    cursor?: string | null
    /**
     * Whether the operation may have been carried out although it failed. `no`: it was not, and
     * will not be; so for whatever changes nothing. `unknown`: it was given to the server, and
     * nobody knows what became of it. Of `setMany` and `deleteBulk`, `unknown` if it is so for any
     * of the names, or if some were stored or deleted.
     */
    applied: 'no' | 'unknown'
    /**
     * Of a method for many names that failed for some of them: each of their errors, with its `key`.
     * The code is that of one of them, which waiting does not mend if there is any. Not there when all
     * was refused as a whole.
     */
    errors?: ConnectorError[]
    /**
     * Beside `errors`, and not enumerable: for each name, in their order, its error or else what was
     * found, as `get` or `head` tells it in a promise; undefined for what was stored or deleted.
     */
    results?: any[]
    /** On errors of the event `error`: waiting will not help. */
    fatal?: boolean
    cause?: unknown
  }

  /** A record as classic servers have it; other values are possible as well. */
  interface ClassicRecord {
    /** A whole number. */
    _v: number
    _d: any
  }

  /** With the classic interface, what is no record has no version. */
  interface NamedRecord { name: string, version: number | null, data: any }

  /** Some of all records; the cursor is null on the last page. `errors` has what JavaScript cannot hold. */
  interface Page { records: NamedRecord[], cursor: string | null, errors: ConnectorError[] }

  interface Events {
    ready: []
    error: [error: ConnectorError]
    close: []
    log: [level: 'debug' | 'info' | 'warn' | 'error', line: string]
    notification: [channel: string, payload: string]
  }

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
   * one. Without a callback they return a promise. Options stand before the callback.
   */
  interface Postgres<K extends Kind = undefined> extends Connector<K> {
    createSchema (name: string, options?: CallOptions | null): Promise<void>
    createSchema (name: string, options: CallOptions | null | undefined, callback: Done): void
    createSchema (name: string, callback: Done): void
    /** Destroys all tables in it, too. */
    destroySchema (name: string, options?: CallOptions | null): Promise<void>
    destroySchema (name: string, options: CallOptions | null | undefined, callback: Done): void
    destroySchema (name: string, callback: Done): void
    /** The number of rows of each table. */
    getSchemaOverview (schema?: string | null, options?: CallOptions | null): Promise<Record<string, number>>
    getSchemaOverview (options: CallOptions | null | undefined, callback: (error: ConnectorError | null, tables?: Record<string, number>) => void, schema?: string): void
    getSchemaOverview (callback: (error: ConnectorError | null, tables?: Record<string, number>) => void, schema?: string): void
    /** Has a listener called for what the option `notifications` says; see `docs/backends/postgres.md`. */
    subscribe (listener: (notification: SchemaNotification) => void, options?: CallOptions | null): Promise<void>
    subscribe (listener: (notification: SchemaNotification) => void, options: CallOptions | null | undefined, done: Done, schema?: string): void
    subscribe (listener: (notification: SchemaNotification) => void, done?: Done, schema?: string): void
    /** Without a listener, all of them. */
    unsubscribe (listener?: ((notification: SchemaNotification) => void) | null, options?: CallOptions | null): Promise<void>
    unsubscribe (listener: ((notification: SchemaNotification) => void) | null | undefined, options: CallOptions | null | undefined, done: Done, schema?: string): void
    unsubscribe (listener?: ((notification: SchemaNotification) => void) | null, done?: Done, schema?: string): void
    /** Sends a statement; `$1` and so on stand for the values. */
    query (text: string, options?: CallOptions | null, callback?: null, values?: any[]): Promise<QueryResult>
    query (text: string, options: CallOptions | null | undefined, callback: (error: ConnectorError | null, result?: QueryResult) => void, values?: any[]): void
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
 * Every callback is called exactly once, never before the method has returned, and in the context of
 * its call as `AsyncLocalStorage` has it. Operations on one
 * name happen in the order of the calls. Data is read by `set` before it returns.
 *
 * The process stays alive for operations under way, for whoever waits for the first connection
 * (by `whenReady()` or a listener for `ready`), and for `close()`; not for an idle connector. A
 * connector with listeners is kept until it is closed.
 *
 * Events: `ready`, for the first connection and after each outage. `error`, once for each outage
 * and for what no waiting helps against (`error.fatal`); nobody has to listen, except for the
 * latter on a classic connector. `close`. `log` with a level and a line. `notification` with a
 * channel and a payload, where a command asked for them.
 */
declare class Connector<K extends Connector.Kind = undefined> extends EventEmitter {
  /** @throws a `ConnectorError` with code `CONFIGURATION` that names the option */
  constructor (options: Connector.Options & { api: K & string }, services?: Connector.Services | null, config?: unknown)
  constructor (options: Connector.Options, services?: K & (Connector.Services | null | undefined), config?: unknown)

  static readonly default: typeof Connector
  static readonly Connector: typeof Connector

  /** Whether the connection stands. Like the next four, a property that servers may assign. */
  isReady: boolean
  name: string
  version: string
  type: string
  description: string

  /** Does nothing: connecting begins with the construction. */
  init (): void

  /** Takes the logger of a classic server. */
  setDeepstream (deepstream: any): void

  /**
   * Rejects only for what waiting does not mend: wrong credentials, `close()`; and when a timeout has
   * passed or a signal is aborted, which ends the waiting and not the connecting.
   */
  whenReady (options?: Connector.CallOptions | null): Promise<void>

  /** Accepts nothing more and lets accepted operations finish, up to `closeTimeout`. */
  close (): Promise<void>

  /** The same as `close`, for `await using`. Node.js has it from 18.18 on. */
  [Symbol.asyncDispose] (): Promise<void>

  // Without a callback each of these returns a promise, which nobody has to wait for. Options stand
  // before the callback. The last form of each is that of deepstream's own types, where errors are text.

  get (name: string, options?: Connector.CallOptions | null): Promise<Connector.Found<K>>
  get (name: string, options: Connector.CallOptions | null | undefined, callback: Connector.GetCallback<K>): void
  get (name: string, callback: Connector.GetCallback<K>, metaData?: unknown): void
  get (name: string, callback: (error: any, version?: number, data?: any) => void, metaData?: any): void

  set (name: string, ...rest: [...record: Connector.Stored<K>, options?: Connector.CallOptions | null]): Promise<void>
  set (name: string, ...rest: [...record: Connector.Stored<K>, options: Connector.CallOptions | null | undefined, callback: Connector.Done]): void
  set (name: string, ...rest: [...record: Connector.Stored<K>, callback: Connector.Done, metaData?: unknown]): void
  set (name: string, version: number, data: any, callback: (error: any) => void, metaData?: any): void

  delete (name: string, options?: Connector.CallOptions | null): Promise<void>
  delete (name: string, options: Connector.CallOptions | null | undefined, callback: Connector.Done): void
  delete (name: string, callback: Connector.Done, metaData?: unknown): void
  delete (name: string, callback: (error: any) => void, metaData?: any): void

  /**
   * The records in the order of the names, each as a promise of `get` has it. It is no transaction.
   * If it fails for some names, `errors` and `results` of the error tell for which, and what was found.
   */
  getMany (names: readonly string[], options?: Connector.CallOptions | null): Promise<Array<Connector.Found<K>>>
  getMany (names: readonly string[], options: Connector.CallOptions | null | undefined, callback: (error: Connector.ConnectorError | null, records?: Array<Connector.Found<K>>) => void): void
  getMany (names: readonly string[], callback: (error: Connector.ConnectorError | null, records?: Array<Connector.Found<K>>) => void): void

  /**
   * Stores all records, those of one name in their order. They are accepted or refused as a whole; it
   * is no transaction. If some cannot be stored, `errors` and `results` of the error tell which.
   */
  setMany (entries: ReadonlyArray<Connector.Entry<K>>, options?: Connector.CallOptions | null): Promise<void>
  setMany (entries: ReadonlyArray<Connector.Entry<K>>, options: Connector.CallOptions | null | undefined, callback: Connector.Done): void
  setMany (entries: ReadonlyArray<Connector.Entry<K>>, callback: Connector.Done): void

  deleteBulk (names: string[], options?: Connector.CallOptions | null): Promise<void>
  deleteBulk (names: string[], options: Connector.CallOptions | null | undefined, callback: Connector.Done): void
  deleteBulk (names: string[], callback: Connector.Done, metaData?: unknown): void
  deleteBulk (names: string[], callback: (error: any) => void, metaData?: any): void

  /** Without a record, null as a promise and -1 in a callback. */
  head (name: string, options?: Connector.CallOptions | null): Promise<number | null>
  head (name: string, options: Connector.CallOptions | null | undefined, callback: (error: Connector.ConnectorError | null, version?: number) => void): void
  head (name: string, callback: (error: Connector.ConnectorError | null, version?: number) => void): void
  head (name: string, callback: (error: any, version?: number) => void): void

  /** The versions of the records that exist, and the names of the others. */
  headBulk (names: string[], options?: Connector.CallOptions | null): Promise<{ versions: Record<string, number>, missing: string[] }>
  headBulk (names: string[], options: Connector.CallOptions | null | undefined, callback: (error: Connector.ConnectorError | null, versions?: Record<string, number>, missing?: string[]) => void): void
  headBulk (names: string[], callback: (error: Connector.ConnectorError | null, versions?: Record<string, number>, missing?: string[]) => void): void
  headBulk (names: string[], callback: (error: any, versions?: Record<string, number>, missing?: string[]) => void): void

  /**
   * A page of at most `limit` of all records, in an order of the database's own: the first one
   * (`cursor` null), or the one after the page that gave the cursor. A record that is there all
   * the while is on one page. Caches cannot list their records. With a prefix a page may have fewer
   * records, and even none, although there is a next one.
   */
  scan (cursor: string | null | undefined, limit: number, options?: Connector.ScanOptions | null): Promise<Connector.Page>
  scan (cursor: string | null | undefined, limit: number, options: Connector.ScanOptions | null | undefined, callback: (error: Connector.ConnectorError | null, page?: Connector.Page) => void): void
  scan (cursor: string | null | undefined, limit: number, callback: (error: Connector.ConnectorError | null, page?: Connector.Page) => void): void

  /**
   * All records, page by page, from a cursor on. Pages have at most `pageSize` records, and fewer
   * where they are large. A record that JavaScript cannot hold is an error with its `key`, thrown
   * after the others of its page; its `cursor` is where to go on. The options are those of each
   * page, and a signal ends the listing within a page, too.
   */
  records (pageSize?: number, cursor?: string | null, options?: Connector.ScanOptions | null): AsyncGenerator<Connector.NamedRecord, void, undefined>

  /** Carries out a command that only this type of database has; see `docs/listing-and-commands.md`. */
  command (name: string, parameters: any, options?: Connector.CallOptions | null): Promise<any>
  command (name: string, parameters: any, options: Connector.CallOptions | null | undefined, callback: (error: Connector.ConnectorError | null, answer?: any) => void): void
  command (name: string, parameters: any, callback: (error: Connector.ConnectorError | null, answer?: any) => void): void

  /** Counters and latencies since the connector was made. */
  stats (): Connector.Statistics

  on<E extends keyof Connector.Events> (event: E, listener: (...values: Connector.Events[E]) => void): this
  on (event: string | symbol, listener: (...values: any[]) => void): this
  once<E extends keyof Connector.Events> (event: E, listener: (...values: Connector.Events[E]) => void): this
  once (event: string | symbol, listener: (...values: any[]) => void): this
  off<E extends keyof Connector.Events> (event: E, listener: (...values: Connector.Events[E]) => void): this
  off (event: string | symbol, listener: (...values: any[]) => void): this
}

export = Connector
