/*
 * Rows of results, and how they read as a table on a terminal and in Markdown.
 *
 * A row is one measure of one kind of work on both sides: its value on each (the median of the rounds), their ratio
 * (the median of each round's own ratio, because what disturbs a round disturbs both of its sides) and the aim.
 */
'use strict'

const { median, readable } = require('./stats')

/*
 * `ours` and `peer` are lists with one value for each round. `aim`, if there is one, has `atLeast` or `atMost`; it is
 * about the ratio, or about our own value where `of` is 'ours'. A row without a peer has no ratio.
 */
function row ({ work, measure, unit, ours, peer, aim }) {
  const ratios = peer ? ours.map((value, round) => value / peer[round]) : []
  const result = {
    work,
    measure,
    unit,
    ours: median(ours),
    peer: peer ? median(peer) : null,
    ratio: peer ? median(ratios) : null,
    ratioFrom: peer ? Math.min(...ratios) : null,
    ratioTo: peer ? Math.max(...ratios) : null,
    aim: aim || null,
    met: null
  }
  if (aim) {
    const value = judged(result)
    result.met = aim.atLeast === undefined ? value <= aim.atMost : value >= aim.atLeast
  }
  return result
}

function judged (row) {
  return row.aim.of === 'ours' ? row.ours : row.ratio
}

function aimInWords ({ aim, unit }) {
  if (!aim) return ''
  const limit = aim.atLeast === undefined ? `≤ ${aim.atMost}` : `≥ ${aim.atLeast}`
  return aim.of === 'ours' ? `ours ${limit} ${unit}` : limit
}

/* `sides` are the names of the two that are compared. */
const headings = (sides = ['ours', 'peer']) => ['work', 'measure', ...sides, 'unit', 'ratio', 'from – to', 'aim', '']
const RIGHT = new Set([2, 3, 5, 6])

function cells (row) {
  return [
    row.work,
    row.measure,
    readable(row.ours),
    row.peer === null ? '' : readable(row.peer),
    row.unit,
    row.ratio === null ? '' : readable(row.ratio),
    row.ratio === null ? '' : `${readable(row.ratioFrom)} – ${readable(row.ratioTo)}`,
    aimInWords(row),
    row.met === null ? '' : row.met ? 'met' : 'missed'
  ]
}

function table (rows, sides) {
  const lines = [headings(sides), ...rows.map(cells)]
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)))
  return lines.map((line) => line.map((cell, column) => {
    return RIGHT.has(column) ? cell.padStart(widths[column]) : cell.padEnd(widths[column])
  }).join('  ').trimEnd()).join('\n')
}

function markdown (rows, sides) {
  const line = (list) => `| ${list.join(' | ')} |`
  const head = headings(sides)
  const rule = head.map((_, column) => RIGHT.has(column) ? '---:' : '---')
  const marked = (list) => list.map((cell) => cell === 'missed' ? '**missed**' : cell)
  return [head, rule, ...rows.map((row) => marked(cells(row)))].map(line).join('\n')
}

module.exports = { row, judged, aimInWords, table, markdown }
