// Who waits for the connection, each as long as it likes.
'use strict'

const { untilAborted } = require('./signals.js')

/** The longest time that one timer takes, in milliseconds. */
const MAX_TIMER = 2 ** 31 - 1

class Waiters {
  constructor () {
    this.ends = new Set()
  }

  get count () {
    return this.ends.size
  }

  /**
   * A promise of the connection.
   *
   * @param {{timeout: number, signal: AbortSignal | null}} options as `callOptionsOf` has them; the signal is not aborted yet
   * @param {() => Error} late makes the error for when the timeout has passed
   * @param {() => void} gaveUp is called when one does not wait any more that was told nothing
   */
  wait ({ timeout, signal }, late, gaveUp) {
    return new Promise((resolve, reject) => {
      let cancel = nothing
      const settle = (error) => {
        cancel()
        if (this.ends.delete(end)) gaveUp()
        if (error === null) resolve()
        else reject(error)
      }
      const end = signal === null ? settle : untilAborted(signal, settle)
      if (timeout > 0) cancel = after(timeout, () => end(late()))
      this.ends.add(end)
    })
  }

  /** Tells all of them that the connection stands, by null, or why there will be none. Returns how many. */
  tell (error) {
    const ends = [...this.ends]
    this.ends.clear()
    for (const end of ends) end(error)
    return ends.length
  }
}

/** Calls once after so many milliseconds, unless what it returns is called before. */
function after (milliseconds, call) {
  let timer
  const start = (left) => {
    timer = left > MAX_TIMER ? setTimeout(start, MAX_TIMER, left - MAX_TIMER) : setTimeout(call, left)
  }
  start(milliseconds)
  return () => clearTimeout(timer)
}

function nothing () {}

module.exports = { Waiters }
