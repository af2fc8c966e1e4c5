/* The records that are written and read: about 130 bytes of JSON each, as a deepstream application would have. */
'use strict'

/* More than are ever in flight at W = 1000, so that no two operations under way meet at one key. */
const KEYS = 4096

/* One string in one piece, as names are that come from a message; joined strings are slower to read. */
function nameOf (index) {
  return Buffer.from(`users/${String(index).padStart(7, '0')}`).toString('latin1')
}

/* Told apart by `id`, which lets every answer be checked at the price of one comparison. */
function contentOf (index) {
  return {
    id: index,
    name: 'Ada Lovelace',
    email: `ada${index}@example.com`,
    active: index % 2 === 0,
    score: index / 8,
    tags: ['one', 'two'],
    at: 1700000000
  }
}

/* `count` records, made in advance so that making them is not measured. */
function make (count = KEYS) {
  const names = Array.from({ length: count }, (_, index) => nameOf(index))
  const contents = Array.from({ length: count }, (_, index) => contentOf(index))
  const texts = contents.map((content) => JSON.stringify(content))
  const bytes = Math.round(texts.reduce((sum, text) => sum + text.length, 0) / count)
  return { count, names, contents, texts, bytes }
}

module.exports = { KEYS, nameOf, contentOf, make }
