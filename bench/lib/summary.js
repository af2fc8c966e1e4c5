/* What a run leaves behind: all results as JSON, a page in Markdown and its plots. */
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const machine = require('./machine')
const svg = require('./svg')
const { aimInWords, judged, markdown } = require('./report')
const { readable } = require('./stats')

const judgedRows = (results) => results.flatMap(({ rows }) => rows.filter(({ aim }) => aim))

function inShort (results) {
  const rows = judgedRows(results)
  return `${rows.filter(({ met }) => met).length} of ${rows.length} aims met`
}

/* How many times as good as the aim; from 1 on it is met. */
function factor (row) {
  const value = judged(row)
  if (row.aim.atLeast !== undefined) return value / row.aim.atLeast
  // Memory may even have shrunk.
  return value > 0 ? row.aim.atMost / value : Infinity
}

function aimsPlot (results, note) {
  const entries = results.flatMap(({ title, rows }) => {
    const chosen = rows.filter(({ aim }) => aim)
    return chosen.length === 0
      ? []
      : [{ heading: title }, ...chosen.map((row) => ({
          label: `${row.work}: ${row.measure}`,
          words: `${readable(judged(row))} (aim ${aimInWords(row)})`,
          factor: factor(row)
        }))]
  })
  return svg.aims('How far each aim was met', entries, note)
}

function page (here, results, failed, plots) {
  const parts = results.map(({ name, title, versions, method, sides, rows, charts }) => [
    `## ${title}`,
    versions.join('; '),
    method,
    markdown(rows, sides),
    Object.keys(charts).map((file) => `![${charts[file].title}](${file}.svg)`).join('\n')
  ].join('\n\n'))
  const warning = machine.disturbance(here)
  return [
    '# Benchmark results',
    machine.inWords(here),
    ...(warning ? [`**Warning:** ${warning}.`] : []),
    ...(results.some(({ quick }) => quick) ? ['A quick run: a tenth of the operations. Do not quote it.'] : []),
    ...(failed.length > 0 ? [`Not measured, because it failed: ${failed.join(', ')}.`] : []),
    `${inShort(results)}. Each value is the median of the rounds; each ratio is the median of the ratios within a ` +
      'round, with the least and the greatest of them beside it.',
    ...(plots.includes('aims') ? ['![How far each aim was met](aims.svg)'] : []),
    ...parts
  ].join('\n\n') + '\n'
}

/* Replaces what an earlier run has left in `folder`. */
function write (folder, here, results, failed) {
  fs.mkdirSync(folder, { recursive: true })
  for (const file of fs.readdirSync(folder)) {
    if (file.endsWith('.svg')) fs.rmSync(path.join(folder, file))
  }
  const note = machine.inWords(here).split('; ')
  const plots = {}
  if (judgedRows(results).length > 0) plots.aims = aimsPlot(results, note)
  for (const { charts } of results) {
    for (const [file, chart] of Object.entries(charts)) plots[file] = svg.bars(chart, note)
  }
  for (const [file, text] of Object.entries(plots)) fs.writeFileSync(path.join(folder, `${file}.svg`), text)
  fs.writeFileSync(path.join(folder, 'results.json'), JSON.stringify({ machine: here, failed, results }, null, 2))
  fs.writeFileSync(path.join(folder, 'README.md'), page(here, results, failed, Object.keys(plots)))
}

module.exports = { write, inShort }
