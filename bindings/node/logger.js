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

/** The levels' numbers, for the loggers of classic servers that have one method for all. */
const LEVELS = { debug: 0, info: 1, warn: 2, error: 3 }

/** What the servers show before the line, and hand to monitoring. */
const EVENTS = { debug: 'INFO', info: 'INFO', warn: 'PLUGIN_ERROR', error: 'PLUGIN_ERROR' }

/**
 * @param {{logger?: any} | null | undefined} services
 * @returns {((level: string, line: string) => void) | null} writes to the server's logger, as far
 *   as it has the methods; null without one
 */
function loggerOf (services) {
  let logger = services && services.logger
  if (logger && typeof logger.getNameSpace === 'function') logger = logger.getNameSpace(NAMESPACE)
  if (!logger) return null
  return (level, line) => {
    const method = METHODS[level].find((name) => typeof logger[name] === 'function')
    if (method !== undefined) {
      logger[method](EVENTS[level], line)
    } else if (typeof logger.log === 'function') {
      logger.log(LEVELS[level], EVENTS[level], line)
    }
  }
}

module.exports = { loggerOf }
