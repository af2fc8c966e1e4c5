// Requests on their way into the addon. The first one of a turn of the loop goes by itself, which
// has the addon come back at the end of the turn; those after it gather until then and cross in
// one call, because a call for each would take longer than all the rest of the way. One with a timeout of its own goes by
// itself.
'use strict'

const native = require('./native.js')

// Where in the cells what is, and what is asked for of a name alone (see src/cells.rs).
const { MAX, COMES, COUNT, FIRST, CELLS, GET, HEAD, DELETE } = native.submissions

/** More characters than this cross before the turn ends. */
const MAX_TEXT = 32 * 1024

class Submissions {
  constructor () {
    this.cells = new Float64Array(FIRST + MAX * CELLS)
    /** Names and documents in the order of the requests. */
    this.pieces = []
    this.characters = 0
    this.functions = null
    this.collect = this.collect.bind(this)
  }

  get (id, name, timeout) {
    if (timeout > 0) return this.now().get(id, name, timeout)
    if (this.goesAlone(name.length)) return this.functions.get(id, name)
    this.gather(id, 0, name, GET)
  }

  head (id, name, timeout) {
    if (timeout > 0) return this.now().head(id, name, timeout)
    if (this.goesAlone(name.length)) return this.functions.head(id, name)
    this.gather(id, 0, name, HEAD)
  }

  delete (id, name, timeout) {
    if (timeout > 0) return this.now().delete(id, name, timeout)
    if (this.goesAlone(name.length)) return this.functions.delete(id, name)
    this.gather(id, 0, name, DELETE)
  }

  set (id, name, version, text, timeout) {
    if (timeout > 0) return this.now().set(id, name, version, text, timeout)
    if (this.goesAlone(name.length + text.length)) return this.functions.set(id, name, version, text)
    this.pieces.push(name, text)
    this.note(id, version, name.length, text.length)
  }

  /** The addon's functions, once everything that was submitted before has crossed. */
  now () {
    this.collect()
    return this.functions
  }

  goesAlone (length) {
    const { cells } = this
    if (cells[COMES] === 0) return true
    if (this.characters + length <= MAX_TEXT && cells[COUNT] < MAX) return false
    this.collect()
    return length > MAX_TEXT
  }

  gather (id, version, name, what) {
    this.pieces.push(name)
    this.note(id, version, name.length, what)
  }

  note (id, version, nameLength, textLength) {
    const { cells } = this
    const cell = FIRST + cells[COUNT]++ * CELLS
    cells[cell] = id
    cells[cell + 1] = version
    cells[cell + 2] = nameLength
    cells[cell + 3] = textLength
    this.characters += nameLength + (textLength > 0 ? textLength : 0)
  }

  /** Hands over what has gathered. */
  collect () {
    const { cells, pieces, functions } = this
    const count = cells[COUNT]
    if (count === 0) return
    cells[COUNT] = 0
    this.pieces = []
    this.characters = 0
    if (!functions.submit(count, pieces.join(''))) this.submitOneByOne(count, pieces)
  }

  /** Where names have halves of surrogate pairs, which in a common text might find each other. */
  submitOneByOne (count, pieces) {
    const { cells, functions } = this
    let piece = 0
    for (let cell = FIRST; cell < FIRST + count * CELLS; cell += CELLS) {
      const id = cells[cell]
      const name = pieces[piece++]
      switch (cells[cell + 3]) {
        case GET: functions.get(id, name); break
        case HEAD: functions.head(id, name); break
        case DELETE: functions.delete(id, name); break
        default: functions.set(id, name, cells[cell + 1], pieces[piece++])
      }
    }
  }
}

module.exports = { Submissions }
