/* The modern server's logger plugin: hands each line to `options.write`, whatever its level. */
'use strict'

const LEVELS = ['debug', 'info', 'warn', 'error', 'fatal']

class Logger {
  constructor (options, services) {
    this.description = 'test log'
    this.write = options.write
    this.services = services
    Object.assign(this, this.getNameSpace())
  }

  getNameSpace (name) {
    const prefix = name ? `${name} | ` : ''
    const namespace = { shouldLog: () => true }
    for (const level of LEVELS) {
      namespace[level] = (event, message) => {
        this.write(`${level.toUpperCase()} | ${prefix}${event} | ${message}`)
        if (level === 'fatal') this.services.notifyFatalException()
      }
    }
    return namespace
  }

  setLogLevel () {}
  async whenReady () {}
  async close () {}
}

module.exports = Logger
