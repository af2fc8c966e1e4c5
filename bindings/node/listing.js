// All records of a storage, page after page.
'use strict'

const { reasonOf } = require('./signals.js')

/** The first page is short, and the others have about so many characters. */
const FIRST_PAGE = 16
const PAGE_CHARACTERS = 4 * 1024 * 1024

/** Where a page says how long its texts were. */
const CHARACTERS = Symbol('characters')

/**
 * @param {(cursor: string | null, limit: number) => Promise<any>} scan gives a page
 * @param {number} pageSize the most records to ask for at once
 * @param {{signal?: AbortSignal} | null} options of each `scan`; the signal ends what is left of a page, too
 */
async function * listAll (scan, pageSize, cursor, options = null) {
  let limit = pageSize > FIRST_PAGE ? FIRST_PAGE : pageSize
  do {
    const page = await scan(cursor, limit)
    for (const record of page.records) {
      if (options !== null && options.signal && options.signal.aborted) throw reasonOf(options.signal)
      yield record
    }
    cursor = page.cursor
    if (page.errors.length > 0) {
      // What else is on the page was given, and the cursor says where to go on.
      throw Object.assign(page.errors[0], { cursor })
    }
    const each = Math.max(1, page[CHARACTERS] / Math.max(1, page.records.length))
    limit = Math.max(1, Math.min(pageSize, Math.floor(PAGE_CHARACTERS / each)))
  } while (cursor !== null)
}

module.exports = { listAll, CHARACTERS }
