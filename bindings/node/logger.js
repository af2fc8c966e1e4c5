// The engine's log lines, in the server's log.
'use strict'

const NAMESPACE = 'DEEPSTREAM_CONNECTOR'

/** Where a line goes: to its level, or else to the next that the logger has. */
const METHODS = {
  debug: ['debug'],
  info: ['info'],
  warn: ['warn', 'info'],
  error: ['error', 'warn', 'info']
}

/** What the servers show before the line, and hand to monitoring. */
const EVENTS = { debug: 'INFO', info: 'INFO', warn: 'PLUGIN_ERROR', error: 'PLUGIN_ERROR' }

/**
 * @returns {(level: string, line: string) => void} writes to the server's logger as far as there
 *   is one; without one, nothing is written anywhere
 */
function loggerOf (services) {
  let logger = services && services.logger
  if (logger && typeof logger.getNameSpace === 'function') logger = logger.getNameSpace(NAMESPACE)
  if (!logger) return () => {}
  return (level, line) => {
    const method = METHODS[level].find((name) => typeof logger[name] === 'function')
    if (method !== undefined) logger[method](EVENTS[level], line)
  }
}

module.exports = { loggerOf }
