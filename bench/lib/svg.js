/* Plots as SVG: bars in groups, and bars that say how far each aim was met. Plain strings, no dependencies. */
'use strict'

const { readable } = require('./stats')

const FONT = "font-family=\"'DejaVu Sans', 'Helvetica Neue', Arial, sans-serif\""
/* Distinguishable for the colour-blind and in print (Okabe and Ito). */
const COLOURS = ['#0072b2', '#e69f00', '#009e73', '#cc79a7']
const INK = '#222222'
const FAINT = '#dddddd'
const GREY = '#666666'
const MET = COLOURS[0]
const MISSED = '#d55e00'

/* Aims that were met or missed by more than two to the power of this look alike. */
const AIMS_EDGE = 4

const escape = (text) => String(text).replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;')

function text (x, y, words, { size = 12, anchor = 'start', colour = INK, weight = 'normal', turn = 0 } = {}) {
  const rotation = turn ? ` transform="rotate(${turn} ${x} ${y})"` : ''
  return `<text x="${x}" y="${y}" font-size="${size}" text-anchor="${anchor}" fill="${colour}" font-weight="${weight}"${rotation}>${escape(words)}</text>`
}

const line = (x1, y1, x2, y2, colour = FAINT, width = 1) =>
  `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="${colour}" stroke-width="${width}"/>`

const box = (x, y, width, height, colour) =>
  `<rect x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${Math.max(width, 0).toFixed(1)}" height="${Math.max(height, 0).toFixed(1)}" fill="${colour}"/>`

function document (width, height, parts) {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ${FONT}>\n` +
    `${box(0, 0, width, height, '#ffffff')}\n${parts.join('\n')}\n</svg>\n`
}

/* 1234567 as 1.23M, for where there is little room. */
function short (value) {
  if (value >= 1e6) return `${readable(value / 1e6)}M`
  if (value >= 1e4) return `${readable(value / 1e3)}k`
  return readable(value)
}

/* Scales from values to 0…1, with ticks at round numbers. */
function linear (values) {
  const most = Math.max(...values)
  const rough = most / 5
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough)
  const top = Math.ceil(most / step) * step
  const ticks = []
  for (let i = 0; i * step <= top * 1.001; i++) ticks.push(i * step)
  return { ticks, at: (value) => Math.max(value, 0) / top }
}

function logarithmic (values) {
  const from = Math.floor(Math.log10(Math.min(...values) / 1.5))
  const to = Math.ceil(Math.log10(Math.max(...values)))
  const ticks = []
  for (let power = from; power <= to; power++) ticks.push(10 ** power)
  return { ticks, at: (value) => (Math.log10(value) - from) / (to - from) }
}

/* Lays the names of the series out in lines; returns parts and how high they are. */
function legend (series, left, right, top) {
  const parts = []
  let x = left
  let y = top
  series.forEach((name, index) => {
    const width = 30 + name.length * 7
    if (x > left && x + width > right) {
      x = left
      y += 20
    }
    parts.push(box(x, y - 11, 12, 12, COLOURS[index]), text(x + 18, y, name))
    x += width
  })
  return { parts, bottom: y }
}

function smallPrint (x, y, lines) {
  return lines.map((words, index) => text(x, y + index * 14, words, { size: 10, colour: GREY }))
}

/*
 * Groups of upright bars: { title, unit, series: [name], groups: [{ label, values: [one for each series] }] }, and
 * lines of small print below. With `ratios: true` the scale is logarithmic, so that the same ratio is the same distance
 * everywhere; no value may be 0 then.
 */
function bars ({ title, unit, series, groups, ratios }, note) {
  const left = 76
  // Wide enough for the number on top.
  const barWidth = Math.min(46, Math.max(36, 640 / (groups.length * series.length)))
  const right = Math.max(left + (barWidth * series.length + 28) * groups.length, 700)
  const each = (right - left) / groups.length
  const { parts: names, bottom: namesEnd } = legend(series, left, right, 58)
  const top = namesEnd + 34
  const height = 300
  const bottom = top + height
  const all = groups.flatMap(({ values }) => values)
  const scale = ratios ? logarithmic(all) : linear(all)
  const y = (value) => bottom - scale.at(value) * height

  const parts = [text(left, 30, title, { size: 17, weight: 'bold' }), ...names]
  parts.push(text(20, (top + bottom) / 2, `${unit}${ratios ? ', logarithmic' : ''}`, { anchor: 'middle', turn: -90, colour: GREY }))
  for (const tick of scale.ticks) {
    parts.push(line(left, y(tick), right, y(tick)))
    parts.push(text(left - 8, y(tick) + 4, short(tick), { anchor: 'end', colour: GREY }))
  }
  groups.forEach(({ label, values }, group) => {
    const middle = left + each * (group + 0.5)
    const start = middle - barWidth * values.length / 2
    values.forEach((value, index) => {
      const x = start + index * barWidth
      parts.push(box(x + 1, y(value), barWidth - 2, bottom - y(value), COLOURS[index]))
      parts.push(text((x + barWidth / 2).toFixed(1), (y(value) - 5).toFixed(1), short(value), { size: 10, anchor: 'middle' }))
    })
    parts.push(text(middle, bottom + 20, label, { anchor: 'middle' }))
  })
  parts.push(line(left, bottom, right, bottom, INK))
  parts.push(...smallPrint(left, bottom + 46, note))
  return document(right + 24, bottom + 48 + note.length * 14, parts)
}

/*
 * Lying bars around the line at the aim, right of it where it was met: entries are { heading } or
 * { label, words, factor }. A factor of 2 is twice as good as the aim; bars end at the edge.
 */
function aims (title, entries, note) {
  const left = 440
  const right = 850
  const rowHeight = 22
  const powers = entries.filter(({ factor }) => factor !== undefined).map(({ factor }) => Math.log2(factor))
  const from = Math.floor(Math.max(-AIMS_EDGE, Math.min(-1, ...powers)))
  const to = Math.ceil(Math.min(AIMS_EDGE, Math.max(1, ...powers)))
  const x = (factor) => left + (Math.min(Math.max(Math.log2(factor), from), to) - from) / (to - from) * (right - left)
  const top = 84
  const bottom = top + entries.length * rowHeight + 6

  const parts = [text(24, 32, title, { size: 17, weight: 'bold' })]
  parts.push(text(x(1) - 8, top - 26, '← missed', { anchor: 'end', colour: MISSED }))
  parts.push(text(x(1) + 8, top - 26, 'met →', { colour: MET }))
  for (let power = from; power <= to; power++) {
    const at = x(2 ** power)
    parts.push(line(at, top - 4, at, bottom, power === 0 ? INK : FAINT, power === 0 ? 1.5 : 1))
    const words = power === 0 ? 'the aim' : power > 0 ? `${2 ** power}×` : `1/${2 ** -power}`
    parts.push(text(at, bottom + 16, words, { size: 11, anchor: 'middle', colour: GREY }))
  }
  entries.forEach(({ heading, label, words, factor }, index) => {
    const y = top + index * rowHeight
    if (heading) return parts.push(text(24, y + 15, heading, { weight: 'bold' }))
    const [from, to] = factor >= 1 ? [x(1), x(factor)] : [x(factor), x(1)]
    parts.push(text(left - 12, y + 15, label, { size: 11, anchor: 'end' }))
    parts.push(box(from, y + 4, to - from, rowHeight - 8, factor >= 1 ? MET : MISSED))
    parts.push(text(right + 12, y + 15, words, { size: 11, colour: factor >= 1 ? INK : MISSED }))
  })
  parts.push(...smallPrint(24, bottom + 44, note))
  return document(right + 190, bottom + 46 + note.length * 14, parts)
}

module.exports = { bars, aims }
