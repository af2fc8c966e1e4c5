// The options, written by the tests from their declarations in Rust (tests/docs/types.rs).

/** A number, or its digits as an environment variable has them. */
type Digits = number | `${number}`

type Flag = boolean | 'true' | 'false'

interface Place { host?: string | null, port?: Digits | null }

/** As it is, or where it is to be had; `every` in milliseconds. */
type Secret = string | number | { file: string } | { command: ReadonlyArray<string>, every?: number }

interface Node extends Place { user?: string | null, username?: string | null, password?: string | number | null }

/** What every connector has. */
export interface Common {
  /** Deadline of an operation in milliseconds, from its submission, with queue and connect time. Default: 10000. */
  timeout?: Digits | null
  /** How long one attempt to connect may take, in milliseconds. Default: 5000. */
  connectTimeout?: Digits | null
  /** How long `close` lets accepted operations finish, in milliseconds. Default: 10000. */
  closeTimeout?: Digits | null
  /** First pause between attempts to connect, in milliseconds; it doubles each time. Default: 50. */
  reconnectDelay?: Digits | null
  /** Longest pause between attempts to connect, in milliseconds. Default: 2000. */
  reconnectMaxDelay?: Digits | null
  /** How many operations may be in flight, which is until their callback is called; one more is refused with `BUSY`. Default: 1000000. */
  maxInFlight?: Digits | null
  /** How many bytes these may take, with keys, data and answers that wait for their callback; more is refused with `BUSY`. Default: 268435456. */
  maxBytesInFlight?: Digits | null
  /** Log lines below this level are dropped. Default: info. */
  logLevel?: 'debug' | 'info' | 'warn' | 'error' | null
  /** Whether a thread of the connector's own does the I/O even where the host's event loop could. Default: by backend. */
  reactorThread?: Flag | null
  /** Node.js alone: which deepstream interface the connector has. Default: by construction. */
  api?: 'classic' | 'modern' | null
}

export interface MemoryOptions extends Common {
  type: 'memory'
  /** How many records are kept; the least recently used goes first. Default: no limit. */
  maxEntries?: Digits | null
  /** How many bytes all records may take together, keys and 160 bytes each for bookkeeping included. Default: 1073741824. */
  maxBytes?: Digits | null
  /** Seconds after its last `set` at which a record is gone. Default: none. */
  ttl?: Digits | null
}

export interface SqliteOptions extends Common {
  type: 'sqlite'
  /** The file with the records; it is made if there is none, its folder is not. A relative path begins at the working directory. */
  path?: string | number | null
  /** What ends the collection, and so the table, in a key: `users/1` is the row `1` of `users`. One or more characters. Default: /. */
  splitChar?: string | number | null
  /** The table of keys without `splitChar`. Default: default. */
  defaultTable?: string | number | null
  /** SQLite's durability: with `FULL` an acknowledged write survives a power failure, with `NORMAL` the end of the process alone. Default: FULL. */
  synchronous?: 'FULL' | 'NORMAL' | 'OFF' | 'EXTRA' | null
  /** How long one attempt waits for another program's lock, in milliseconds, and at most half of `timeout` and `connectTimeout`; operations try again until their deadline. Default: 5000. */
  busyTimeout?: Digits | null
}

export interface RedisOptions extends Common {
  type: 'redis'
  /** Host name or address. Default: 127.0.0.1. */
  host?: string | null
  /** TCP port. Default: 6379. */
  port?: Digits | null
  /** Unix socket, instead of host and port. Default: none. */
  path?: string | number | null
  /** ACL user. Default: none. */
  user?: string | number | null
  /** As `user`. */
  username?: string | number | null
  /** Password of the user, or of the server. Default: none. */
  password?: Secret | null
  /** Database number. Default: 0. */
  db?: Digits | null
  /** `redis://user:password@host:port/db`, `rediss://…` for TLS, or `unix:///path?db=0`; options beside it win over its parts. Default: none. */
  url?: string | number | null
  /** As `url`. */
  connectionString?: string | number | null
  /** As `url`. */
  uri?: string | number | null
  /** `true`, or an object: see the TLS options. Default: false. */
  tls?: Flag | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** As `tls`. */
  ssl?: Flag | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** As `tls`. */
  sslOptions?: Flag | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** Put before every key. Default: none. */
  keyPrefix?: string | number | null
  /** Seconds after its last `set` at which a record is gone, 0 is never; version and data go together. Default: 0. */
  ttl?: Digits | null
  /** `V2` is the layout of `@deepstream/cache-redis`, `V1` that of `deepstream.io-cache-redis`. Default: V2; V1 for a classic deepstream server. */
  layout?: 'V1' | 'V2' | null
  /** Redis Sentinel: the sentinels, as `host:port`, a list of such texts, or of objects with `host` and `port`; port 26379 unless given. Default: none. */
  sentinels?: string | ReadonlyArray<string | Place> | Record<string, number> | null
  /** Redis Sentinel: the name under which the sentinels know the primary, such as `mymaster`. Default: none. */
  name?: string | number | null
  /** ACL user at the sentinels. Default: none. */
  sentinelUser?: string | number | null
  /** As `sentinelUser`. */
  sentinelUsername?: string | number | null
  /** Password of that user, or of the sentinels. Default: none. */
  sentinelPassword?: Secret | null
  /** TLS to the sentinels, where it is not that to the servers: `true`, `false`, or an object like `tls`. Default: as `tls`. */
  sentinelTLS?: Flag | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** Redis Cluster: some of its nodes, as `host:port`, a list of such texts, or of objects with `host` (127.0.0.1 unless given), `port`, and `username` and `password` if the node has its own; the others are found through them, and have the login in `redisOptions` or beside it, else that of the first node. Default: none. */
  nodes?: string | ReadonlyArray<string | Node> | Record<string, number> | null
  /** Redis Cluster: ioredis's `readFrom`, which wins over it. `slave` and `all` read from replicas. Default: master. */
  scaleReads?: 'master' | 'slave' | 'all' | null
  /** Redis Cluster: how often the commands for one record are redirected in a row before they wait a moment. Default: 16. */
  maxRedirections?: Digits | null
  /** Redis Cluster and Sentinel: for each `host:port` that the servers tell, the one to dial, as text or as an object with `host` and `port`. Default: none. */
  natMap?: Record<string, string | Place> | null
  /** Redis Sentinel: with `slave` records are read from replicas, as with `readFrom`; they are written at the primary all the same. Default: master. */
  role?: 'master' | 'slave' | null
  /** The name of the connections in `CLIENT LIST`. Default: none. */
  connectionName?: string | number | null
  /** Redis Cluster: login and TLS of all nodes, in an object as ioredis has it; they may as well stand beside it. Default: none. */
  redisOptions?: {
    /** ACL user. Default: none. */
    user?: string | number | null
    /** As `user`. */
    username?: string | number | null
    /** Password of the user, or of the servers. Default: none. */
    password?: Secret | null
    /** `true`, or an object: see the TLS options. Default: false. */
    tls?: Flag | {
      /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
      ca?: string | number | Uint8Array | null
      /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
      cert?: string | number | Uint8Array | null
      /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
      key?: string | number | Uint8Array | null
      /** The name that the server's certificate must hold. Default: the host. */
      serverName?: string | number | Uint8Array | null
      /** The same, as Node.js spells it. Default: the host. */
      servername?: string | number | Uint8Array | null
      /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
      rejectUnauthorized?: Flag | null
      /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
      minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
      /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
      passphrase?: unknown | null
    } | null
    /** As `tls`. */
    ssl?: Flag | {
      /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
      ca?: string | number | Uint8Array | null
      /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
      cert?: string | number | Uint8Array | null
      /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
      key?: string | number | Uint8Array | null
      /** The name that the server's certificate must hold. Default: the host. */
      serverName?: string | number | Uint8Array | null
      /** The same, as Node.js spells it. Default: the host. */
      servername?: string | number | Uint8Array | null
      /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
      rejectUnauthorized?: Flag | null
      /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
      minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
      /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
      passphrase?: unknown | null
    } | null
    /** As `tls`. */
    sslOptions?: Flag | {
      /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
      ca?: string | number | Uint8Array | null
      /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
      cert?: string | number | Uint8Array | null
      /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
      key?: string | number | Uint8Array | null
      /** The name that the server's certificate must hold. Default: the host. */
      serverName?: string | number | Uint8Array | null
      /** The same, as Node.js spells it. Default: the host. */
      servername?: string | number | Uint8Array | null
      /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
      rejectUnauthorized?: Flag | null
      /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
      minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
      /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
      passphrase?: unknown | null
    } | null
    /** Put before every key. Default: none. */
    keyPrefix?: string | number | null
    /** Database number; a cluster has 0 alone. Default: 0. */
    db?: Digits | null
    /** How long one attempt to connect to one node may take, in milliseconds. Default: by `connectTimeout` beside it. */
    connectTimeout?: Digits | null
    /** The name of the connections in `CLIENT LIST`. Default: none. */
    connectionName?: string | number | null
    /** Taken and not needed: IPv4 and IPv6 are both tried. Default: none. */
    family?: unknown | null
    /** Taken and not needed: connections are kept alive. Default: none. */
    keepAlive?: unknown | null
    /** Taken and not needed: nothing is delayed. Default: none. */
    noDelay?: unknown | null
    /** Taken and not needed: see `timeout`. Default: none. */
    commandTimeout?: unknown | null
    /** Taken and not needed: see `timeout`. Default: none. */
    socketTimeout?: unknown | null
    /** Taken and not needed: operations wait up to their `timeout`. Default: none. */
    maxRetriesPerRequest?: unknown | null
    /** Taken and not needed: a server that loads is waited for. Default: none. */
    maxLoadingRetryTime?: unknown | null
    /** Taken and not needed: a server that loads is waited for. Default: none. */
    enableReadyCheck?: unknown | null
    /** Taken and not needed: operations wait up to their `timeout`. Default: none. */
    enableOfflineQueue?: unknown | null
    /** Taken and not needed: see `timeout`. Default: none. */
    autoResendUnfulfilledCommands?: unknown | null
    /** Taken and not needed: everything is pipelined. Default: none. */
    enableAutoPipelining?: unknown | null
    /** Taken and not needed: the connection is made at once. Default: none. */
    lazyConnect?: unknown | null
    /** Taken and not needed: errors name the option and the remedy. Default: none. */
    showFriendlyErrorStack?: unknown | null
  } | null
  /** `replica` reads from replicas while one answers, those that a cluster or a primary of Sentinel names, or those in `replicas`; what others wrote a moment ago may be missing there, what this connector wrote is not. Default: primary. */
  readFrom?: 'primary' | 'replica' | null
  /** Replicas of a single server for `readFrom`, as `host:port`, a list of such texts, or of objects with `host` and `port`; or the one address behind which they are. Default: none. */
  replicas?: string | ReadonlyArray<string | Place> | Record<string, number> | null
  /** How many replicas must have a write before it is acknowledged (`WAIT`, once for each batch). Default: 0. */
  waitReplicas?: Digits | null
  /** How long one attempt waits for `waitReplicas`, in milliseconds; the write is tried again until its deadline. Default: 1000. */
  waitTimeout?: Digits | null
  /** After how many milliseconds without a command each connection is used to keep it open, where the server or something on the way closes idle ones; 0 is never. One that is closed all the same is made anew when that is noticed, and is no outage. Default: 0. */
  pingInterval?: Digits | null
  /** Taken and not needed: see `name` for Sentinel. Default: none. */
  serverName?: unknown | null
  /** Taken and not needed: IPv4 and IPv6 are both tried. Default: none. */
  family?: unknown | null
  /** Taken and not needed: connections are kept alive. Default: none. */
  keepAlive?: unknown | null
  /** Taken and not needed: nothing is delayed. Default: none. */
  noDelay?: unknown | null
  /** Taken and not needed: see `timeout`. Default: none. */
  commandTimeout?: unknown | null
  /** Taken and not needed: see `timeout`. Default: none. */
  socketTimeout?: unknown | null
  /** Taken and not needed: operations wait up to their `timeout`. Default: none. */
  maxRetriesPerRequest?: unknown | null
  /** Taken and not needed: a server that loads is waited for. Default: none. */
  maxLoadingRetryTime?: unknown | null
  /** Taken and not needed: a server that loads is waited for. Default: none. */
  enableReadyCheck?: unknown | null
  /** Taken and not needed: operations wait up to their `timeout`. Default: none. */
  enableOfflineQueue?: unknown | null
  /** Taken and not needed: see `timeout`. Default: none. */
  autoResendUnfulfilledCommands?: unknown | null
  /** Taken and not needed: everything is pipelined. Default: none. */
  enableAutoPipelining?: unknown | null
  /** Taken and not needed: the connection is made at once. Default: none. */
  lazyConnect?: unknown | null
  /** Taken and not needed: errors name the option and the remedy. Default: none. */
  showFriendlyErrorStack?: unknown | null
  /** Taken and not needed: see `connectTimeout`. Default: none. */
  sentinelCommandTimeout?: unknown | null
  /** Taken and not needed: the sentinels are those in `sentinels`. Default: none. */
  updateSentinels?: unknown | null
  /** Taken and not needed: the slots are looked up when a node redirects. Default: none. */
  retryDelayOnFailover?: unknown | null
  /** Taken and not needed: the slots are looked up when a node redirects. Default: none. */
  retryDelayOnClusterDown?: unknown | null
  /** Taken and not needed: the slots are looked up when a node redirects. Default: none. */
  retryDelayOnTryAgain?: unknown | null
  /** Taken and not needed: the slots are looked up when a node redirects. Default: none. */
  retryDelayOnMoved?: unknown | null
  /** Taken and not needed: the slots are looked up when a node redirects. Default: none. */
  slotsRefreshTimeout?: unknown | null
  /** Taken and not needed: the slots are looked up when a node redirects. Default: none. */
  slotsRefreshInterval?: unknown | null
}

export interface MemcachedOptions extends Common {
  type: 'memcached'
  /** The servers: `host:port`, several separated by commas, a list of such texts or of objects with `host` and `port`, or an object that gives each `host:port` a weight. Default: 127.0.0.1:11211. */
  serverLocation?: string | ReadonlyArray<string | Place> | Record<string, number> | null
  /** Seconds after its last `set` at which a record is gone; 0 is never, and more than 30 days work too. (deepstream's own connector has 60000 where nothing is given.) Default: 0. */
  lifetime?: Digits | null
  /** How records are written: `V2` is `{"version":n,"data":…}`, `V1` is `{"_v":n,"_d":…}`. Both are read. Default: V2; V1 for a classic deepstream server. */
  layout?: 'V1' | 'V2' | null
  /** Whether the keys of a server that is away go to the next server on the ring until it is back; else their operations wait for it, up to their deadline. Default: false. */
  failover?: Flag | null
  /** User. Default: none. */
  user?: string | number | null
  /** As `user`. */
  username?: string | number | null
  /** Password of the user. Default: none. */
  password?: Secret | null
  /** How `user` and `password` are shown: `ascii` for a server with `-Y`, `sasl` (PLAIN) for one with `-S`. Default: ascii. */
  authentication?: 'ascii' | 'sasl' | null
  /** `true`, or an object: see the TLS options. Default: false. */
  tls?: Flag | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** As `tls`. */
  ssl?: Flag | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** As `tls`. */
  sslOptions?: Flag | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** After how many milliseconds without a command each connection is used to keep it open, where the server or something on the way closes idle ones; 0 is never. One that is closed all the same is made anew when that is noticed, and is no outage. Default: 0. */
  pingInterval?: Digits | null
  /** Options of the npm client `memcached`. Default: none. */
  memcachedOptions?: {
    /** Put before every key. Default: none. */
    namespace?: string | number | null
    /** How long one attempt to connect to one server may take, in milliseconds. Default: by `connectTimeout`. */
    timeout?: Digits | null
    /** The same as `failover`. Default: false. */
    remove?: Flag | null
    /** Taken and not needed: with `failover` the other servers take over. Default: none. */
    failOverServers?: unknown | null
    /** How the place of a key on the ring is computed. Default: md5. */
    algorithm?: 'md5' | null
    /** How the ring is made. Default: ketama. */
    compatibility?: 'ketama' | null
    /** A key with more characters, or with more than 250 bytes, is stored as its md5. Default: 250. */
    maxKeySize?: Digits | null
    /** Taken and not needed: without the md5 a longer key could not be stored. Default: true. */
    keyCompression?: Flag | null
    /** Taken and not needed: a longer `lifetime` works. Default: none. */
    maxExpiration?: unknown | null
    /** Taken and not needed: the servers say how large an item may be. Default: none. */
    maxValue?: unknown | null
    /** Taken and not needed: one connection to each server carries everything. Default: none. */
    poolSize?: unknown | null
    /** Taken and not needed: see `maxInFlight`. Default: none. */
    maxQueueSize?: unknown | null
    /** Taken and not needed: a connection is kept. Default: none. */
    idle?: unknown | null
    /** Taken and not needed: see `reconnectDelay` and `reconnectMaxDelay`, and `timeout` for operations. Default: none. */
    retries?: unknown | null
    /** Taken and not needed: see `reconnectDelay` and `reconnectMaxDelay`, and `timeout` for operations. Default: none. */
    factor?: unknown | null
    /** Taken and not needed: see `reconnectDelay` and `reconnectMaxDelay`, and `timeout` for operations. Default: none. */
    minTimeout?: unknown | null
    /** Taken and not needed: see `reconnectDelay` and `reconnectMaxDelay`, and `timeout` for operations. Default: none. */
    maxTimeout?: unknown | null
    /** Taken and not needed: see `reconnectDelay` and `reconnectMaxDelay`, and `timeout` for operations. Default: none. */
    randomize?: unknown | null
    /** Taken and not needed: see `reconnectDelay` and `reconnectMaxDelay`, and `timeout` for operations. Default: none. */
    retry?: unknown | null
    /** Taken and not needed: see `reconnectDelay` and `reconnectMaxDelay`, and `timeout` for operations. Default: none. */
    reconnect?: unknown | null
    /** Taken and not needed: see `reconnectDelay` and `reconnectMaxDelay`, and `timeout` for operations. Default: none. */
    failures?: unknown | null
    /** Taken and not needed: see `reconnectDelay` and `reconnectMaxDelay`, and `timeout` for operations. Default: none. */
    failuresTimeout?: unknown | null
    /** Taken and not needed: the npm client writes records once, whatever it says. Default: none. */
    redundancy?: unknown | null
    /** Taken and not needed: see `logLevel`. Default: none. */
    debug?: unknown | null
  } | null
}

export interface CassandraOptions extends Common {
  type: 'cassandra'
  /** Some nodes of the cluster, through which the others are found: `host:port`, several separated by commas, a list of such texts, or of objects with `host` and `port`. Default: 127.0.0.1. */
  contactPoints?: string | ReadonlyArray<string | Place> | Record<string, number> | null
  /** As `contactPoints`. */
  host?: string | ReadonlyArray<string | Place> | Record<string, number> | null
  /** TCP port of the nodes. Default: 9042. */
  port?: Digits | null
  /** The port, where `cassandra-driver` has it. Default: none. */
  protocolOptions?: {
    /** TCP port of the nodes. Default: 9042. */
    port?: Digits | null
  } | null
  /** The datacentre whose nodes alone are asked; without it those of all are, which needs a `consistency` other than `LOCAL_…` where there are several. Default: none. */
  localDataCenter?: string | number | null
  /** The keyspace of the table, in upper and lower case as it is. Default: deepstream. */
  keyspace?: string | number | null
  /** Makes the keyspace where there is none, with so many replicas in each datacentre: a number, such as `3`, or a number for each, such as `dc1:3,dc2:2`. Default: none. */
  replication?: string | number | null
  /** The table with the records; it is made where there is none. Default: records. */
  table?: string | number | null
  /** What ends the collection in a key: `users/1` is in the collection `users` with the id `1`. One or more characters. Default: /. */
  splitChar?: string | number | null
  /** Put before every key, so that several deployments can share a table; tables are dear in Cassandra. Default: none. */
  keyPrefix?: string | number | null
  /** Members of the documents, such as `name,age`, that are also written to columns of these names, for CQL to find records by; the table must have the columns. Default: none. */
  columns?: string | number | null
  /** How many replicas answer for the database, for reads and writes. Default: LOCAL_QUORUM. */
  consistency?: 'ONE' | 'TWO' | 'THREE' | 'QUORUM' | 'ALL' | 'LOCAL_QUORUM' | 'LOCAL_ONE' | null
  /** The same for reads alone. Default: as `consistency`. */
  readConsistency?: 'ONE' | 'TWO' | 'THREE' | 'QUORUM' | 'ALL' | 'LOCAL_QUORUM' | 'LOCAL_ONE' | null
  /** The same for writes alone. Default: as `consistency`. */
  writeConsistency?: 'ONE' | 'TWO' | 'THREE' | 'QUORUM' | 'ALL' | 'LOCAL_QUORUM' | 'EACH_QUORUM' | 'LOCAL_ONE' | null
  /** Seconds after its last `set` at which a record is gone, by Cassandra's own `TTL`; 0 is never. Default: 0. */
  ttl?: Digits | null
  /** User. Default: none. */
  user?: string | number | null
  /** As `user`. */
  username?: string | number | null
  /** Password of the user. Default: none. */
  password?: string | number | null
  /** User and password, where `cassandra-driver` has them. Default: none. */
  credentials?: {
    /** User. Default: none. */
    user?: string | number | null
    /** As `user`. */
    username?: string | number | null
    /** Password of the user. Default: none. */
    password?: string | number | null
  } | null
  /** `true`, or an object: see the TLS options. Needs the cargo feature `cassandra-tls`. Default: false. */
  tls?: Flag | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** As `tls`. */
  ssl?: Flag | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** As `tls`. */
  sslOptions?: Flag | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** The consistency, where `cassandra-driver` has it. Default: none. */
  queryOptions?: {
    /** As in `types.consistencies`: 6 is `LOCAL_QUORUM`. Default: 6. */
    consistency?: Digits | null
    /** Taken and not needed: a page is as large as is asked for. Default: none. */
    fetchSize?: unknown | null
    /** Taken and not needed: everything is prepared. Default: none. */
    prepare?: unknown | null
    /** Taken and not needed: everything is idempotent. Default: none. */
    isIdempotent?: unknown | null
    /** Taken and not needed: pages are asked for one by one. Default: none. */
    autoPage?: unknown | null
    /** Taken and not needed: errors name the option and the remedy. Default: none. */
    captureStackTrace?: unknown | null
    /** Taken and not needed: operations are tried again until their `timeout`. Default: none. */
    retryOnTimeout?: unknown | null
    /** Taken and not needed: no transaction is lightweight. Default: none. */
    serialConsistency?: unknown | null
    /** Taken and not needed: nothing is traced. Default: none. */
    traceQuery?: unknown | null
  } | null
  /** How what goes between us and the nodes is compressed. Default: none. */
  compression?: 'none' | 'lz4' | 'snappy' | null
  /** Refused: a secure connect bundle is not read. Default: none. */
  cloud?: {
    /** The file of the bundle. Default: none. */
    secureConnectBundle?: string | number | null
  } | null
  /** Milliseconds after which a silent connection is asked for a sign of life; one that gives none for a quarter of `timeout` more, at least 3 and at most 15 seconds, is given up. Default: 2000. */
  heartBeatInterval?: Digits | null
  /** Milliseconds after which an unanswered operation is sent to one more node as well, and the first answer counts; 0 is never. Default: 0. */
  speculativeDelay?: Digits | null
}

export interface MysqlOptions extends Common {
  type: 'mysql'
  /** Host name or address; of several with commas between, each with or without a port, the first whose server takes writes. Default: 127.0.0.1. */
  host?: string | null
  /** TCP port. Default: 3306. */
  port?: Digits | null
  /** Unix socket, instead of host and port. Default: none. */
  socketPath?: string | number | null
  /** Whom to log in as. Default: root. */
  user?: string | number | null
  /** As `user`. */
  username?: string | number | null
  /** The user's password. Default: none. */
  password?: Secret | null
  /** The database that has the tables; it must exist. */
  database?: string | number | null
  /** As `database`. */
  db?: string | number | null
  /** `mysql://user:password@host:port,host:port/database?ssl-mode=VERIFY_IDENTITY`; options beside it win over its parts. Default: none. */
  url?: string | number | null
  /** As `url`. */
  connectionString?: string | number | null
  /** As `url`. */
  uri?: string | number | null
  /** TLS: `true`, or an object, see the TLS options. `Amazon RDS` is `true`: give Amazon's authorities as `tls.ca`. Default: false. */
  tls?: Flag | 'Amazon RDS' | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** As `tls`. */
  ssl?: Flag | 'Amazon RDS' | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** As `tls`. */
  sslOptions?: Flag | 'Amazon RDS' | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** How many connections there are at most: half of them for reads and half for writes; each is made when it is needed. Default: 4. */
  maxConnections?: Digits | null
  /** As `maxConnections`. */
  max?: Digits | null
  /** As `maxConnections`. */
  connectionLimit?: Digits | null
  /** As `maxConnections`. */
  connections?: Digits | null
  /** What ends the collection, and so the table, in a key: `users/1` is the row `1` of `users`. One or more characters. Default: /. */
  splitChar?: string | number | null
  /** The table of keys without `splitChar`. Default: default. */
  defaultTable?: string | number | null
  /** After how many milliseconds without a command each connection is used to keep it open, where the server or something on the way closes idle ones; 0 is never. One that is closed all the same is made anew when that is noticed, and is no outage. Default: 0. */
  pingInterval?: Digits | null
  /** Taken and not needed: text is UTF-8, with all its characters. Default: none. */
  charset?: unknown | null
  /** Taken and not needed: text is UTF-8, with all its characters. Default: none. */
  charsetNumber?: unknown | null
  /** Taken and not needed: no times are read. Default: none. */
  timezone?: unknown | null
  /** Taken and not needed: operations wait up to their `timeout`. Default: none. */
  waitForConnections?: unknown | null
  /** Taken and not needed: operations wait up to their `timeout`. Default: none. */
  acquireTimeout?: unknown | null
  /** Taken and not needed: see `maxInFlight`. Default: none. */
  queueLimit?: unknown | null
  /** Taken and not needed: idle connections stay. Default: none. */
  maxIdle?: unknown | null
  /** Taken and not needed: idle connections stay. Default: none. */
  idleTimeout?: unknown | null
  /** Taken and not needed: each connection is made when it is needed. Default: none. */
  minimumIdle?: unknown | null
  /** Taken and not needed: nobody else has the connections. Default: none. */
  resetAfterUse?: unknown | null
  /** Taken and not needed: connections are kept alive. Default: none. */
  enableKeepAlive?: unknown | null
  /** Taken and not needed: connections are kept alive. Default: none. */
  keepAliveInitialDelay?: unknown | null
  /** Taken and not needed: see `timeout`. Default: none. */
  socketTimeout?: unknown | null
  /** Taken without effect: the system chooses. Default: none. */
  localAddress?: unknown | null
  /** Taken without effect: nothing is compressed. Default: none. */
  compress?: unknown | null
  /** Taken without effect: what the protocol can do is settled. Default: none. */
  flags?: unknown | null
  /** Taken without effect: logins that are not safe are not made. Default: none. */
  insecureAuth?: unknown | null
  /** Taken and not needed: the key is asked for. Default: none. */
  allowPublicKeyRetrieval?: unknown | null
  /** Taken without effect: the methods of login are those below. Default: none. */
  authPlugins?: unknown | null
  /** Taken without effect: the connections say what they are. Default: none. */
  connectAttributes?: unknown | null
  /** Taken and not needed: few statements are prepared. Default: none. */
  maxPreparedStatements?: unknown | null
  /** Taken and not needed: no SQL of yours is sent. Default: none. */
  multipleStatements?: unknown | null
  /** Taken and not needed: no SQL of yours is sent. Default: none. */
  namedPlaceholders?: unknown | null
  /** Taken and not needed: no files are sent. Default: none. */
  localInfile?: unknown | null
  /** Taken and not needed: no files are sent. Default: none. */
  permitLocalInfile?: unknown | null
  /** Taken and not needed: no SQL of yours is sent. Default: none. */
  queryFormat?: unknown | null
  /** Taken and not needed: no SQL of yours is sent. Default: none. */
  stringifyObjects?: unknown | null
  /** Taken and not needed: numbers come back as they were. Default: none. */
  supportBigNumbers?: unknown | null
  /** Taken and not needed: numbers come back as they were. Default: none. */
  bigNumberStrings?: unknown | null
  /** Taken and not needed: numbers come back as they were. Default: none. */
  decimalNumbers?: unknown | null
  /** Taken and not needed: no times are read. Default: none. */
  dateStrings?: unknown | null
  /** Taken and not needed: records are JSON. Default: none. */
  typeCast?: unknown | null
  /** Taken and not needed: records are JSON. Default: none. */
  jsonStrings?: unknown | null
  /** Taken and not needed: records are JSON. Default: none. */
  rowsAsArray?: unknown | null
  /** Taken and not needed: records are JSON. Default: none. */
  nestTables?: unknown | null
  /** Taken and not needed: there is no such code. Default: none. */
  disableEval?: unknown | null
  /** Taken and not needed: connections end in an orderly way. Default: none. */
  gracefulEnd?: unknown | null
  /** Taken without effect: see `logLevel`. Default: none. */
  debug?: unknown | null
  /** Taken without effect: see `logLevel`. Default: none. */
  trace?: unknown | null
}

export interface MariadbOptions extends Common {
  type: 'mariadb'
  /** Host name or address; of several with commas between, each with or without a port, the first whose server takes writes. Default: 127.0.0.1. */
  host?: string | null
  /** TCP port. Default: 3306. */
  port?: Digits | null
  /** Unix socket, instead of host and port. Default: none. */
  socketPath?: string | number | null
  /** Whom to log in as. Default: root. */
  user?: string | number | null
  /** As `user`. */
  username?: string | number | null
  /** The user's password. Default: none. */
  password?: Secret | null
  /** The database that has the tables; it must exist. */
  database?: string | number | null
  /** As `database`. */
  db?: string | number | null
  /** `mysql://user:password@host:port,host:port/database?ssl-mode=VERIFY_IDENTITY`; options beside it win over its parts. Default: none. */
  url?: string | number | null
  /** As `url`. */
  connectionString?: string | number | null
  /** As `url`. */
  uri?: string | number | null
  /** TLS: `true`, or an object, see the TLS options. `Amazon RDS` is `true`: give Amazon's authorities as `tls.ca`. Default: false. */
  tls?: Flag | 'Amazon RDS' | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** As `tls`. */
  ssl?: Flag | 'Amazon RDS' | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** As `tls`. */
  sslOptions?: Flag | 'Amazon RDS' | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** How many connections there are at most: half of them for reads and half for writes; each is made when it is needed. Default: 4. */
  maxConnections?: Digits | null
  /** As `maxConnections`. */
  max?: Digits | null
  /** As `maxConnections`. */
  connectionLimit?: Digits | null
  /** As `maxConnections`. */
  connections?: Digits | null
  /** What ends the collection, and so the table, in a key: `users/1` is the row `1` of `users`. One or more characters. Default: /. */
  splitChar?: string | number | null
  /** The table of keys without `splitChar`. Default: default. */
  defaultTable?: string | number | null
  /** After how many milliseconds without a command each connection is used to keep it open, where the server or something on the way closes idle ones; 0 is never. One that is closed all the same is made anew when that is noticed, and is no outage. Default: 0. */
  pingInterval?: Digits | null
  /** Taken and not needed: text is UTF-8, with all its characters. Default: none. */
  charset?: unknown | null
  /** Taken and not needed: text is UTF-8, with all its characters. Default: none. */
  charsetNumber?: unknown | null
  /** Taken and not needed: no times are read. Default: none. */
  timezone?: unknown | null
  /** Taken and not needed: operations wait up to their `timeout`. Default: none. */
  waitForConnections?: unknown | null
  /** Taken and not needed: operations wait up to their `timeout`. Default: none. */
  acquireTimeout?: unknown | null
  /** Taken and not needed: see `maxInFlight`. Default: none. */
  queueLimit?: unknown | null
  /** Taken and not needed: idle connections stay. Default: none. */
  maxIdle?: unknown | null
  /** Taken and not needed: idle connections stay. Default: none. */
  idleTimeout?: unknown | null
  /** Taken and not needed: each connection is made when it is needed. Default: none. */
  minimumIdle?: unknown | null
  /** Taken and not needed: nobody else has the connections. Default: none. */
  resetAfterUse?: unknown | null
  /** Taken and not needed: connections are kept alive. Default: none. */
  enableKeepAlive?: unknown | null
  /** Taken and not needed: connections are kept alive. Default: none. */
  keepAliveInitialDelay?: unknown | null
  /** Taken and not needed: see `timeout`. Default: none. */
  socketTimeout?: unknown | null
  /** Taken without effect: the system chooses. Default: none. */
  localAddress?: unknown | null
  /** Taken without effect: nothing is compressed. Default: none. */
  compress?: unknown | null
  /** Taken without effect: what the protocol can do is settled. Default: none. */
  flags?: unknown | null
  /** Taken without effect: logins that are not safe are not made. Default: none. */
  insecureAuth?: unknown | null
  /** Taken and not needed: the key is asked for. Default: none. */
  allowPublicKeyRetrieval?: unknown | null
  /** Taken without effect: the methods of login are those below. Default: none. */
  authPlugins?: unknown | null
  /** Taken without effect: the connections say what they are. Default: none. */
  connectAttributes?: unknown | null
  /** Taken and not needed: few statements are prepared. Default: none. */
  maxPreparedStatements?: unknown | null
  /** Taken and not needed: no SQL of yours is sent. Default: none. */
  multipleStatements?: unknown | null
  /** Taken and not needed: no SQL of yours is sent. Default: none. */
  namedPlaceholders?: unknown | null
  /** Taken and not needed: no files are sent. Default: none. */
  localInfile?: unknown | null
  /** Taken and not needed: no files are sent. Default: none. */
  permitLocalInfile?: unknown | null
  /** Taken and not needed: no SQL of yours is sent. Default: none. */
  queryFormat?: unknown | null
  /** Taken and not needed: no SQL of yours is sent. Default: none. */
  stringifyObjects?: unknown | null
  /** Taken and not needed: numbers come back as they were. Default: none. */
  supportBigNumbers?: unknown | null
  /** Taken and not needed: numbers come back as they were. Default: none. */
  bigNumberStrings?: unknown | null
  /** Taken and not needed: numbers come back as they were. Default: none. */
  decimalNumbers?: unknown | null
  /** Taken and not needed: no times are read. Default: none. */
  dateStrings?: unknown | null
  /** Taken and not needed: records are JSON. Default: none. */
  typeCast?: unknown | null
  /** Taken and not needed: records are JSON. Default: none. */
  jsonStrings?: unknown | null
  /** Taken and not needed: records are JSON. Default: none. */
  rowsAsArray?: unknown | null
  /** Taken and not needed: records are JSON. Default: none. */
  nestTables?: unknown | null
  /** Taken and not needed: there is no such code. Default: none. */
  disableEval?: unknown | null
  /** Taken and not needed: connections end in an orderly way. Default: none. */
  gracefulEnd?: unknown | null
  /** Taken without effect: see `logLevel`. Default: none. */
  debug?: unknown | null
  /** Taken without effect: see `logLevel`. Default: none. */
  trace?: unknown | null
}

export interface MongodbOptions extends Common {
  type: 'mongodb'
  /** `mongodb://user:password@host:27017,…/database?options` or `mongodb+srv://…`, with the options of MongoDB's drivers. `compressors`, `zlibCompressionLevel`, `socketTimeoutMS`, `waitQueueTimeoutMS`, `useNewUrlParser` and `useUnifiedTopology` are ignored: nothing is compressed, and `timeout` is the deadline. */
  url?: string | number | null
  /** As `url`. */
  connectionString?: string | number | null
  /** As `url`. */
  uri?: string | number | null
  /** The database. Default: that of `url`, or test. */
  database?: string | number | null
  /** As `database`. */
  db?: string | number | null
  /** TLS: `true`, `false`, or an object; it wins over what `url` says. Default: as `url` says. */
  tls?: Flag | {
    /** Certificate authorities to trust: the path of a PEM file. Default: Mozilla's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain and its private key: the path of one PEM file with both. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The same path as `cert`, where it is given. Default: none. */
    key?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** Taken without effect: TLSv1.2 is the oldest. Default: none. */
    minVersion?: unknown | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** As `tls`. */
  ssl?: Flag | {
    /** Certificate authorities to trust: the path of a PEM file. Default: Mozilla's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain and its private key: the path of one PEM file with both. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The same path as `cert`, where it is given. Default: none. */
    key?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** Taken without effect: TLSv1.2 is the oldest. Default: none. */
    minVersion?: unknown | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** As `tls`. */
  sslOptions?: Flag | {
    /** Certificate authorities to trust: the path of a PEM file. Default: Mozilla's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain and its private key: the path of one PEM file with both. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The same path as `cert`, where it is given. Default: none. */
    key?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** Taken without effect: TLSv1.2 is the oldest. Default: none. */
    minVersion?: unknown | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** How many connections there are at most to each server. Default: `maxPoolSize` of `url`, or 10. */
  maxConnections?: Digits | null
  /** As `maxConnections`. */
  max?: Digits | null
  /** As `maxConnections`. */
  connectionLimit?: Digits | null
  /** As `maxConnections`. */
  connections?: Digits | null
  /** The same, as npm's `mongodb` calls it. Default: none. */
  maxPoolSize?: Digits | null
  /** The same, as older ones of it call it. Default: none. */
  poolSize?: Digits | null
  /** The collection of keys without `splitChar`, and of those whose collection cannot have its name in MongoDB. Default: deepstream_docs. */
  defaultCollection?: string | number | null
  /** As `defaultCollection`. */
  defaultTable?: string | number | null
  /** What ends the collection in a key: `users/1` is the document with the `ds_key` `1` in `users`. One or more characters; of more than one, all but the first stay in `ds_key`, as in the npm packages. Default: /; none with layout `V1`. */
  splitChar?: string | number | null
  /** What is written: `V2` is the layout of `@deepstream/storage-mongodb`, `V1` that of `deepstream.io-storage-mongodb`. Both are read. Default: V2; V1 for a classic deepstream server. */
  layout?: 'V1' | 'V2' | null
  /** Taken and not needed: there is one parser. Default: none. */
  useNewUrlParser?: unknown | null
  /** Taken and not needed: there is one topology. Default: none. */
  useUnifiedTopology?: unknown | null
  /** Taken and not needed: see `timeout`. Default: none. */
  socketTimeoutMS?: unknown | null
  /** Taken and not needed: see `timeout`. Default: none. */
  serverSelectionTimeoutMS?: unknown | null
  /** Taken and not needed: see `timeout`. Default: none. */
  waitQueueTimeoutMS?: unknown | null
  /** Taken without effect: see `connectTimeout`. Default: none. */
  connectTimeoutMS?: unknown | null
  /** Taken and not needed: connections are made again. Default: none. */
  autoReconnect?: unknown | null
  /** Taken and not needed: connections are made again. Default: none. */
  reconnectTries?: unknown | null
  /** Taken and not needed: see `reconnectDelay`. Default: none. */
  reconnectInterval?: unknown | null
  /** Taken and not needed: see `maxInFlight`. Default: none. */
  bufferMaxEntries?: unknown | null
  /** Taken and not needed: connections are kept alive. Default: none. */
  keepAlive?: unknown | null
  /** Taken without effect: nothing is compressed. Default: none. */
  compressors?: unknown | null
}

export interface PostgresOptions extends Common {
  type: 'postgres'
  /** Host name or address, several of them separated by commas, or the folder of a Unix socket. Of several the first one counts that takes writes. Default: `PGHOST`, or localhost. */
  host?: string | null
  /** TCP port, or one for each host. Default: `PGPORT`, or 5432. */
  port?: string | number | null
  /** The role that logs in. Default: `PGUSER`, or the system's user. */
  user?: string | number | null
  /** As `user`. */
  username?: string | number | null
  /** Its password: SCRAM, with channel binding where there is TLS, MD5, or plain, as the server asks. Default: `PGPASSWORD`, or by `.pgpass`. */
  password?: Secret | null
  /** The database; it must exist. Default: `PGDATABASE`, or as `user`. */
  database?: string | number | null
  /** As `database`. */
  db?: string | number | null
  /** `postgresql://user:password@host:port/database?sslmode=…`, or libpq's words and values; options beside it win over its parts, and its parts over the environment. Default: none. */
  url?: string | number | null
  /** As `url`. */
  connectionString?: string | number | null
  /** As `url`. */
  uri?: string | number | null
  /** Whether there is TLS and what is checked, as libpq has it: with `verify-full` authority and host name, with `verify-ca` the authority, with `require` nothing (but as `verify-ca` if an authority is given); `prefer` and `allow` may end without TLS. `no-verify` is TLS in which nothing is checked, even if an authority is given. Default: `PGSSLMODE`, or disable. */
  sslmode?: 'disable' | 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full' | 'no-verify' | null
  /** `true`, or an object with the TLS options, as node-postgres has it: TLS as with `verify-full`, unless `sslmode` says something else. Default: false. */
  tls?: Flag | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** As `tls`. */
  ssl?: Flag | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** As `tls`. */
  sslOptions?: Flag | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** The schema of all tables; it is made if there is none. Default: ds. */
  schema?: string | number | null
  /** What ends the collection, and so the table, in a key: `users/1` is the row `1` of `users`. One or more characters. Default: /. */
  splitChar?: string | number | null
  /** The table of keys without `splitChar`. Default: default. */
  defaultTable?: string | number | null
  /** Names of tables, as deepstream.io-storage-postgres has it. Default: none. */
  table?: {
    /** Another name of `defaultTable`. Default: default. */
    defaultName?: string | number | null
    /** What the names of all collections' tables begin with. Default: none. */
    prefix?: string | number | null
  } | null
  /** How tables are made that are not there: as `@deepstream/storage-postgres` does it, or as `deepstream.io-storage-postgres` did. Tables that are there are read and written as they are. Default: V2; V1 for a classic deepstream server. */
  layout?: 'V1' | 'V2' | null
  /** Whether new tables have `val` as `jsonb`, and not as `text`. Default: false. */
  useJsonb?: Flag | null
  /** Whether versions may be beyond 2,147,483,647: new tables get a `bigint` column, and an `int` column of others is widened when such a version comes. Deepstream's own connector reads a `bigint` as text. Default: false. */
  bigintVersions?: Flag | null
  /** The owner of new tables. Default: as `user`. */
  role?: string | number | null
  /** Whether a table is dropped when its last record is deleted. Default: false. */
  dropEmptyTables?: Flag | null
  /** What is told to those who `LISTEN` to a channel of the schema's name. Default: none. */
  notifications?: {
    /** A table was made. Default: false. */
    CREATE_TABLE?: Flag | null
    /** An emptied table was dropped; see `dropEmptyTables`. Default: false. */
    DESTROY_TABLE?: Flag | null
    /** A record was stored that was not there. By a trigger of the table, as are the next two. Default: false. */
    INSERT?: Flag | null
    /** A record was replaced. Default: false. */
    UPDATE?: Flag | null
    /** A record was deleted. Default: false. */
    DELETE?: Flag | null
  } | null
  /** The most connections; they are made as they are needed. One more is made for commands and notifications. Default: 10. */
  maxConnections?: Digits | null
  /** As `maxConnections`. */
  max?: Digits | null
  /** As `maxConnections`. */
  connectionLimit?: Digits | null
  /** As `maxConnections`. */
  connections?: Digits | null
  /** How long a connection beyond the first stays when nothing needs it, in milliseconds; 0 is for ever. Default: 30000. */
  idleTimeoutMillis?: Digits | null
  /** After how many milliseconds without a command each connection is used to keep it open, where the server or something on the way closes idle ones; 0 is never. One that is closed all the same is made anew when that is noticed, and is no outage. Default: 0. */
  pingInterval?: Digits | null
  /** What `pg_stat_activity` and the server's log call it. Default: `PGAPPNAME`, or deepstream-connector. */
  application_name?: string | number | null
  /** How long one statement may take in the server, in milliseconds; operations try again until their deadline. Default: the server's. */
  statement_timeout?: Digits | null
  /** How long a statement waits for a lock that somebody else holds, in milliseconds; operations try again until their deadline, the locked ones alone. 0 leaves it to the server. Default: an eighth of `timeout`, from 100 to 500. */
  lock_timeout?: Digits | null
  /** `false` behind a pooler that gives each transaction another session: nothing is prepared, and nothing is set in a session. Default: true; false with `?pgbouncer=true` in the `url`. */
  preparedStatements?: Flag | null
  /** How long the server lets a transaction be idle, in milliseconds: a `query` that says `BEGIN` begins one. Default: the server's. */
  idle_in_transaction_session_timeout?: Digits | null
  /** Settings of the server's for the session, as `-c name=value`. Default: `PGOPTIONS`, or none. */
  options?: string | number | null
  /** Whether a session of ours that broke while it wrote is ended in the server, so that it writes nothing later. For that each session has a number behind `application_name`, by which it is told from those of others, behind a pooler as well. With `false` there is no number, and nothing is ended or cancelled. Default: true. */
  terminateSessions?: Flag | null
  /** Of deepstream's own connector, and without effect: nothing is written later than at once. Default: none. */
  writeInterval?: unknown | null
  /** Of node-postgres, and without effect: see `connectTimeout`. Default: none. */
  connectionTimeoutMillis?: unknown | null
  /** Of node-postgres, and without effect: see `timeout`. Default: none. */
  query_timeout?: unknown | null
  /** Of node-postgres, and without effect: TCP keepalive is always on. Default: true. */
  keepAlive?: unknown | null
  /** The same. Default: none. */
  keepAliveInitialDelayMillis?: unknown | null
  /** Of node-postgres, and without effect: one connection stays. Default: 1. */
  min?: unknown | null
  /** Of node-postgres, and without effect: a connection stays as long as it is good. Default: none. */
  maxLifetimeSeconds?: unknown | null
  /** The same. Default: none. */
  maxUses?: unknown | null
  /** Of node-postgres, and without effect: `close` ends the connections. Default: false. */
  allowExitOnIdle?: unknown | null
  /** Of node-postgres, and without effect: it is UTF-8. Default: UTF8. */
  client_encoding?: unknown | null
  /** Of node-postgres, and without effect: channel binding is used where there is TLS; see `channel_binding` in the `url`. Default: true. */
  enableChannelBinding?: unknown | null
}

export interface IroncacheOptions extends Common {
  type: 'ironcache'
  /** The project that the cache belongs to. */
  project_id?: string | number | null
  /** The OAuth token. */
  token?: string | number | null
  /** The cache's name; its first record makes it. Default: deepstream. */
  cache?: string | number | null
  /** Seconds after its last `set` at which a record is gone, 30 days at most. Default: never. */
  expires_in?: Digits | null
  /** Host name or address. Default: cache-aws-us-east-1.iron.io. */
  host?: string | null
  /** `http` is not protected: the token can be read on its way. Default: https. */
  protocol?: 'https' | 'http' | null
  /** TCP port. Default: 443; 80 for `http`. */
  port?: Digits | null
  /** Version of the REST interface. Default: 1. */
  api_version?: '1' | null
  /** How many requests may be under way at once, each on a connection of its own that is kept. Default: 32. */
  maxConnections?: Digits | null
  /** As `maxConnections`. */
  max?: Digits | null
  /** As `maxConnections`. */
  connectionLimit?: Digits | null
  /** As `maxConnections`. */
  connections?: Digits | null
  /** `true`, or an object: see the TLS options. `protocol` decides whether there is TLS. Default: true. */
  tls?: Flag | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** As `tls`. */
  ssl?: Flag | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** As `tls`. */
  sslOptions?: Flag | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
}

export interface CouchdbOptions extends Common {
  type: 'couchdb'
  /** `http://user:password@host:port/database`, `https://…` for TLS; options beside it win over its parts. What is in the path before the database is put before every path, as a proxy may have it. Default: none. */
  url?: string | number | null
  /** As `url`. */
  connectionString?: string | number | null
  /** As `url`. */
  uri?: string | number | null
  /** Host name or address. Default: `127.0.0.1`. */
  host?: string | null
  /** TCP port. Default: 5984; 6984 with TLS. */
  port?: Digits | null
  /** The database with the records; it is made if there is none. Default: deepstream. */
  database?: string | number | null
  /** As `database`. */
  db?: string | number | null
  /** User name. Default: none. */
  user?: string | number | null
  /** As `user`. */
  username?: string | number | null
  /** Password. Default: none. */
  password?: Secret | null
  /** Whether the password goes with each request, or once for a session whose cookie is renewed by itself. Default: basic. */
  auth?: 'basic' | 'cookie' | null
  /** A JSON Web Token that goes with each request, instead of user and password. Default: none. */
  jwt?: string | number | null
  /** `true`, or an object: see the TLS options. Default: false. */
  tls?: Flag | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** As `tls`. */
  ssl?: Flag | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** As `tls`. */
  sslOptions?: Flag | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** What ends the collection in a key, which is a field of the document. One or more characters. Default: /. */
  splitChar?: string | number | null
  /** How many connections to the server there may be, and so how many requests at once. Default: 6. */
  maxConnections?: Digits | null
  /** As `maxConnections`. */
  max?: Digits | null
  /** As `maxConnections`. */
  connectionLimit?: Digits | null
  /** As `maxConnections`. */
  connections?: Digits | null
}

export interface DynamodbOptions extends Common {
  type: 'dynamodb'
  /** AWS region, such as `eu-central-1`. Default: `AWS_REGION`, or the profile's. */
  region?: string | number | null
  /** URL of the service; `http://127.0.0.1:8000` for DynamoDB local. Without it, `AWS_ENDPOINT_URL_DYNAMODB` and `AWS_ENDPOINT_URL` count. Default: the region's. */
  endpoint?: string | number | null
  /** For an endpoint of your own: see the TLS options. Default: by the endpoint. */
  tls?: Flag | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** As `tls`. */
  ssl?: Flag | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** As `tls`. */
  sslOptions?: Flag | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** Access key, with `secretAccessKey`; without it, see below. Default: the usual chain. */
  accessKeyId?: string | number | null
  /** The secret of the access key. Default: the usual chain. */
  secretAccessKey?: string | number | null
  /** The token of a temporary access key. Default: none. */
  sessionToken?: string | number | null
  /** The same three in an object, as the AWS SDK for JavaScript has them. Default: none. */
  credentials?: {
    /** The key's id. */
    accessKeyId?: string | number | null
    /** The key itself. */
    secretAccessKey?: string | number | null
    /** The token of a temporary key. Default: none. */
    sessionToken?: string | number | null
  } | null
  /** A profile in `~/.aws/credentials` or `~/.aws/config`. Default: `AWS_PROFILE`, or `default`. */
  profile?: string | number | null
  /** The table of all records. Default: deepstream. */
  table?: string | number | null
  /** What ends the collection in a key. One or more characters. Default: /. */
  splitChar?: string | number | null
  /** A table for each collection: `users/1` is the item `1` of `deepstream-users`, after the option `table`. Default: false. */
  tablePerCollection?: Flag | null
  /** Makes a table that is not there, paid by request, and waits for it. Default: false. */
  createTable?: Flag | null
  /** Seconds after its last `set` at which a record is gone. Default: none. */
  ttl?: Digits | null
  /** The attribute that says when: the one for which the table's time to live is switched on, which `createTable` does. Default: ds_expires. */
  ttlAttribute?: string | number | null
  /** `false` halves the price of reads, which then may miss what was written just before, by this connector as well. Default: true. */
  consistentRead?: Flag | null
  /** The region's endpoint with cryptography by FIPS 140. Default: `AWS_USE_FIPS_ENDPOINT`, or false. */
  useFipsEndpoint?: Flag | null
  /** The region's endpoint with IPv6 beside IPv4. Default: `AWS_USE_DUALSTACK_ENDPOINT`, or false. */
  useDualstackEndpoint?: Flag | null
  /** How many connections to the service there may be, and so how many requests at once. Default: 8. */
  maxConnections?: Digits | null
  /** As `maxConnections`. */
  max?: Digits | null
  /** As `maxConnections`. */
  connectionLimit?: Digits | null
  /** As `maxConnections`. */
  connections?: Digits | null
  /** Taken and not needed: operations are tried again up to their `timeout`. Default: none. */
  maxAttempts?: unknown | null
  /** Taken and not needed: operations are tried again up to their `timeout`. Default: none. */
  maxRetries?: unknown | null
  /** Taken and not needed: operations are tried again up to their `timeout`. Default: none. */
  retryMode?: unknown | null
  /** Taken and not needed: see `timeout` and `connectTimeout`. Default: none. */
  defaultsMode?: unknown | null
  /** Taken and not needed: there is one version. Default: none. */
  apiVersion?: unknown | null
}

export interface ElasticacheOptions extends Common {
  type: 'elasticache'
  /** What runs on the cluster's nodes. Default: redis. */
  engine?: 'redis' | 'valkey' | 'memcached' | null
  /** `host:port` of the configuration endpoint: of a memcached cluster, or of a Redis or Valkey one with cluster mode. Default: none. */
  configurationEndpoint?: string | ReadonlyArray<string | Place> | Record<string, number> | null
  /** Redis and Valkey without cluster mode: `host:port` of the primary endpoint. Default: none. */
  primaryEndpoint?: string | ReadonlyArray<string | Place> | Record<string, number> | null
  /** Redis and Valkey without cluster mode: `host:port` of the reader endpoint, for `readFrom`. Default: none. */
  readerEndpoint?: string | ReadonlyArray<string | Place> | Record<string, number> | null
  /** Redis and Valkey: `replica` reads from replicas, those of cluster mode or those behind `readerEndpoint`; see the backend `redis`. Default: primary. */
  readFrom?: 'primary' | 'replica' | null
  /** Redis and Valkey: the user. Default: none. */
  user?: string | number | null
  /** As `user`. */
  username?: string | number | null
  /** Redis and Valkey: the user's password, or the AUTH token. Default: none. */
  password?: Secret | null
  /** Encryption in transit: `true`, or an object: see the TLS options. Default: true with a `password`, else false. */
  tls?: Flag | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** As `tls`. */
  ssl?: Flag | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** As `tls`. */
  sslOptions?: Flag | {
    /** Certificate authorities to trust: PEM text, or the path of a PEM file. A connection that is made later reads a file again that has changed; so with the next two. Default: the system's. */
    ca?: string | number | Uint8Array | null
    /** The client's certificate chain: PEM text, or the path of a PEM file. Default: none. */
    cert?: string | number | Uint8Array | null
    /** The client's private key: PEM text, or the path of a PEM file. Default: none. */
    key?: string | number | Uint8Array | null
    /** The name that the server's certificate must hold. Default: the host. */
    serverName?: string | number | Uint8Array | null
    /** The same, as Node.js spells it. Default: the host. */
    servername?: string | number | Uint8Array | null
    /** `false` accepts any certificate, and with it anybody who can intercept the connection. Default: true. */
    rejectUnauthorized?: Flag | null
    /** The oldest version of TLS; nothing older than TLSv1.2 is spoken. Default: TLSv1.2. */
    minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3' | null
    /** Taken and not needed for a key that is not encrypted; an encrypted one is refused. Default: none. */
    passphrase?: unknown | null
  } | null
  /** memcached: how often the cluster is asked for its nodes, in milliseconds; every 5 seconds while one is away. Default: 60000. */
  discoveryInterval?: Digits | null
  /** Redis and Valkey without cluster mode: database number. Default: 0. */
  db?: Digits | null
  /** Redis and Valkey: put before every key. Default: none. */
  keyPrefix?: string | number | null
  /** Redis and Valkey: seconds after its last `set` at which a record is gone; 0 is never. Default: 0. */
  ttl?: Digits | null
  /** As `layout` of the backend `redis` or `memcached`. Default: V2; V1 for a classic deepstream server. */
  layout?: 'V1' | 'V2' | null
  /** Redis and Valkey: how many replicas must have a write before it is acknowledged (`WAIT`, once for each batch). Default: 0. */
  waitReplicas?: Digits | null
  /** Redis and Valkey: how long one attempt waits for `waitReplicas`, in milliseconds. Default: 1000. */
  waitTimeout?: Digits | null
  /** memcached: seconds after its last `set` at which a record is gone; 0 is never. Default: 0. */
  lifetime?: Digits | null
  /** memcached: whether the keys of a node that is away go to the next one on the ring until it is back. Default: false. */
  failover?: Flag | null
  /** After how many milliseconds without a command each connection is used to keep it open, where the server or something on the way closes idle ones; 0 is never. One that is closed all the same is made anew when that is noticed, and is no outage. Default: 0. */
  pingInterval?: Digits | null
  /** memcached: options of the npm client `memcached`. Default: none. */
  memcachedOptions?: {
    /** Put before every key. Default: none. */
    namespace?: string | number | null
    /** How long one attempt to connect to one server may take, in milliseconds. Default: by `connectTimeout`. */
    timeout?: Digits | null
    /** The same as `failover`. Default: false. */
    remove?: Flag | null
    /** Taken and not needed: with `failover` the other servers take over. Default: none. */
    failOverServers?: unknown | null
    /** How the place of a key on the ring is computed. Default: md5. */
    algorithm?: 'md5' | null
    /** How the ring is made. Default: ketama. */
    compatibility?: 'ketama' | null
    /** A key with more characters, or with more than 250 bytes, is stored as its md5. Default: 250. */
    maxKeySize?: Digits | null
    /** Taken and not needed: without the md5 a longer key could not be stored. Default: true. */
    keyCompression?: Flag | null
    /** Taken and not needed: a longer `lifetime` works. Default: none. */
    maxExpiration?: unknown | null
    /** Taken and not needed: the servers say how large an item may be. Default: none. */
    maxValue?: unknown | null
    /** Taken and not needed: one connection to each server carries everything. Default: none. */
    poolSize?: unknown | null
    /** Taken and not needed: see `maxInFlight`. Default: none. */
    maxQueueSize?: unknown | null
    /** Taken and not needed: a connection is kept. Default: none. */
    idle?: unknown | null
    /** Taken and not needed: see `reconnectDelay` and `reconnectMaxDelay`, and `timeout` for operations. Default: none. */
    retries?: unknown | null
    /** Taken and not needed: see `reconnectDelay` and `reconnectMaxDelay`, and `timeout` for operations. Default: none. */
    factor?: unknown | null
    /** Taken and not needed: see `reconnectDelay` and `reconnectMaxDelay`, and `timeout` for operations. Default: none. */
    minTimeout?: unknown | null
    /** Taken and not needed: see `reconnectDelay` and `reconnectMaxDelay`, and `timeout` for operations. Default: none. */
    maxTimeout?: unknown | null
    /** Taken and not needed: see `reconnectDelay` and `reconnectMaxDelay`, and `timeout` for operations. Default: none. */
    randomize?: unknown | null
    /** Taken and not needed: see `reconnectDelay` and `reconnectMaxDelay`, and `timeout` for operations. Default: none. */
    retry?: unknown | null
    /** Taken and not needed: see `reconnectDelay` and `reconnectMaxDelay`, and `timeout` for operations. Default: none. */
    reconnect?: unknown | null
    /** Taken and not needed: see `reconnectDelay` and `reconnectMaxDelay`, and `timeout` for operations. Default: none. */
    failures?: unknown | null
    /** Taken and not needed: see `reconnectDelay` and `reconnectMaxDelay`, and `timeout` for operations. Default: none. */
    failuresTimeout?: unknown | null
    /** Taken and not needed: the npm client writes records once, whatever it says. Default: none. */
    redundancy?: unknown | null
    /** Taken and not needed: see `logLevel`. Default: none. */
    debug?: unknown | null
  } | null
}

export type Options = MemoryOptions | SqliteOptions | RedisOptions | MemcachedOptions | CassandraOptions | MysqlOptions | MariadbOptions | MongodbOptions | PostgresOptions | IroncacheOptions | CouchdbOptions | DynamodbOptions | ElasticacheOptions
