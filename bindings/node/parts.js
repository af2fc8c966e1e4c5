// The answer to a request for many names. It comes in parts, a result for each name, so that a turn of the event loop has no more
// of many large records than of single ones.
'use strict'

/** Takes what a call takes: the results, in the order of the names. */
class Parts {
  constructor () {
    this.results = []
  }

  /** All of them, once they are there; the next ones are another answer's. */
  take () {
    const { results } = this
    this.results = []
    return results
  }

  done () {
    this.results.push(undefined)
  }

  miss () {
    this.results.push(null)
  }

  give (result) {
    this.results.push(result)
  }

  giveVersion (version) {
    this.results.push(Number.isNaN(version) ? null : version)
  }

  giveRecord (version, data) {
    this.results.push({ version, data })
  }

  fail (error) {
    this.results.push(error)
  }

  emitDestroy () {}
}

module.exports = { Parts }
