// The connection of a connector, and what becomes of it.
'use strict'

const native = require('./native.js')
const { callOptionsOf } = require('./arguments.js')
const { Deliveries } = require('./deliveries.js')
const { isLibuv } = require('./runtime.js')
const { reasonOf } = require('./signals.js')
const { Submissions } = require('./submissions.js')
const { connectorError, fromNative, rethrow } = require('./errors.js')
const { Waiters } = require('./waiters.js')

/** Events of Node's own, which nobody waits for. */
const LISTENING = ['newListener', 'removeListener']

/**
 * What belongs to a connector but must not keep it: the addon holds on to this for as long as
 * the connection stands, and the connector itself can be collected meanwhile.
 */
class Line {
  constructor (connector, { classic, type }, logger) {
    this.connector = new WeakRef(connector)
    this.classic = classic
    this.type = type
    this.logger = logger
    this.deliveries = new Deliveries(classic, (what, value, extra) => this.happened(what, value, extra))
    this.submissions = new Submissions()
    this.functions = null
    /** The connector, while somebody waits for it and not for an operation: the process stays, too. */
    this.awaited = null
    /** The connector, while somebody listens to it: it is not collected. */
    this.listened = null
    /** Hears what the database tells by itself, before the listeners; and whether anybody wants it. */
    this.notified = null
    this.hasSubscriptions = false
    this.waiters = new Waiters()
    this.ready = false
    /** The connection has stood. */
    this.wasReady = false
    /** The first connection stood, or it became known that there will be none. */
    this.settled = false
    this.fatal = null
    /** A trouble that no log has heard of. */
    this.unlogged = null
    this.closing = false
    this.closed = false
    this.closeCallbacks = []
  }

  open (configuration) {
    const { deliveries, submissions } = this
    try {
      this.functions = native.open(
        configuration, deliveries.drain, deliveries.cells, submissions.collect, submissions.cells,
        isLibuv, () => setImmediate(this.functions.resume)
      )
    } catch (error) {
      throw fromNative(error)
    }
    submissions.functions = this.functions
    deliveries.next = this.functions.next
  }

  /**
   * Keeps the process and the connector while somebody waits for the connection, and the connector
   * while somebody listens to it.
   */
  review (connector) {
    if (this.closed) return
    const isListenedTo = this.hasSubscriptions || connector.eventNames().some((event) => !LISTENING.includes(event))
    this.listened = isListenedTo ? connector : null
    if (this.closing) return
    const isAwaited = !this.settled && (this.waiters.count > 0 || connector.listenerCount('ready') > 0)
    this.keep(isAwaited ? connector : null)
  }

  keep (connector) {
    this.awaited = connector
    this.functions.hold(connector !== null)
  }

  settle () {
    this.settled = true
    if (!this.closing) this.keep(null)
  }

  whenReady (connector, options) {
    const checked = callOptionsOf(options)
    if (checked instanceof Error) return Promise.reject(checked.of('whenReady'))
    const { timeout, signal } = checked
    if (signal !== null && signal.aborted) return Promise.reject(reasonOf(signal))
    if (this.closing) return Promise.reject(closedError())
    if (this.ready) return Promise.resolve()
    if (this.fatal !== null) return Promise.reject(this.fatal)
    this.settled = false
    const late = () => connectorError('TIMEOUT', true,
      `${this.functions.target}: the connection does not stand after ${timeout} ms, the \`timeout\` of \`whenReady\`; ` +
      'it is tried on, and may be waited for again').of('whenReady')
    const ready = this.waiters.wait(checked, late, () => this.gaveUp(connector))
    this.review(connector)
    return ready
  }

  /** Somebody does not wait for the connection any more. */
  gaveUp (connector) {
    if (this.waiters.count === 0) this.settled = this.wasReady
    this.review(connector)
  }

  close () {
    if (this.closing) return
    this.closing = true
    this.submissions.now().close()
  }

  whenClosed (callback) {
    if (this.closed) return process.nextTick(callback)
    this.closeCallbacks.push(callback)
    this.close()
    const connector = this.connector.deref()
    if (connector !== undefined) this.keep(connector)
  }

  emit (...event) {
    const connector = this.connector.deref()
    if (connector === undefined) return
    try {
      connector.emit(...event)
    } catch (error) {
      rethrow(error)
    }
  }

  setReady (ready) {
    this.ready = ready
    const connector = this.connector.deref()
    try {
      if (connector !== undefined) connector.isReady = ready
    } catch (error) {
      // Somebody's setter must not cost others the event.
      rethrow(error)
    }
  }

  happened (what, value, extra) {
    switch (what) {
      case 'ready': return this.onReady()
      case 'problem': return this.onProblem(value)
      case 'fatal': return this.onFatal(value)
      case 'log': return this.onLog(value, extra)
      case 'closed': return this.onClosed()
      case 'notification': return this.onNotification(value, extra)
    }
  }

  onReady () {
    this.fatal = null
    this.wasReady = true
    this.setReady(true)
    this.waiters.tell(null)
    this.emit('ready')
    this.settle()
  }

  /**
   * An outage. The engine has logged it, so that it may go unheard otherwise. A classic server
   * exits at an `error` before `ready`, and is to wait for its database.
   */
  onProblem (error) {
    this.setReady(false)
    const isFatalToHost = this.classic && !this.wasReady
    if (isFatalToHost) return this.warn(error)
    if (this.hasListener('error')) this.emit('error', error)
  }

  /** Says it somewhere, where neither a log nor a listener would hear of it. */
  warn (error) {
    if (this.logger !== null || this.hasListener('log')) return
    this.unlogged = error
    process.emitWarning(`${this.functions.target}: ${error.message}`, {
      type: 'ConnectorWarning', code: error.code
    })
  }

  /** The logger of a classic server, which it gives late. */
  setLogger (logger) {
    if (logger === null || this.logger !== null) return
    this.logger = logger
    if (this.unlogged !== null && !this.wasReady) this.onLog('error', `${this.functions.target}: ${this.unlogged.message}`)
    this.unlogged = null
  }

  onFatal (error) {
    this.fatal = error
    this.setReady(false)
    const told = this.waiters.tell(error)
    // Without anybody to tell, Node's custom is to throw. A modern server must not die of it: it
    // has a logger, and asks by `whenReady`.
    if (this.hasListener('error') || (this.classic && told === 0)) this.emit('error', error)
    this.settle()
  }

  onLog (level, line) {
    try {
      if (this.logger !== null) this.logger(level, line)
    } catch (error) {
      rethrow(error)
    }
    if (this.hasListener('log')) this.emit('log', level, line)
  }

  onNotification (channel, payload) {
    try {
      if (this.notified !== null) this.notified(channel, payload)
    } catch (error) {
      rethrow(error)
    }
    this.emit('notification', channel, payload)
  }

  onClosed () {
    this.closing = true
    this.closed = true
    this.setReady(false)
    this.waiters.tell(closedError())
    this.emit('close')
    for (const callback of this.closeCallbacks.splice(0)) callback()
    this.settled = true
    this.awaited = null
    this.listened = null
  }

  hasListener (event) {
    const connector = this.connector.deref()
    return connector !== undefined && connector.listenerCount(event) > 0
  }
}

function closedError () {
  return connectorError('CLOSED', false, 'the connector is closed; nothing new is accepted')
}

module.exports = { Line, closedError }
