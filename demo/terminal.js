/* How the demo talks: steps with the time each took, and what a person should notice under them. */
'use strict'

const WIDTH = 78

const colourful = process.stdout.isTTY && !process.env.NO_COLOR
const paint = (code) => (text) => colourful ? `\x1b[${code}m${text}\x1b[0m` : text
const bold = paint('1')
const dim = paint('2')
const green = paint('32')
const red = paint('31')

// Whoever reads this has left, as `head` does: then there is nobody to go on for.
process.stdout.on('error', () => process.exit(1))

const print = (line = '') => process.stdout.write(line + '\n')

function inWords (milliseconds) {
  if (milliseconds < 10) return `${milliseconds.toFixed(1)} ms`
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`
  const seconds = milliseconds / 1000
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  return seconds < 60 ? `${Math.round(seconds)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`
}

/*
 * Carries out one step and says how long it took. What `work` hands to the function it is given stands below that line.
 * Other output meanwhile would spoil the line, so whoever has some writes it to a file.
 */
async function step (title, work) {
  const begun = performance.now()
  const notes = []
  const line = (mark, end) => `${mark} ${title}${' '.repeat(Math.max(2, WIDTH - title.length - end.length - 2))}${dim(end)}`
  let clock
  if (process.stdout.isTTY) {
    const draw = () => process.stdout.write(`\r\x1b[K${line('·', inWords(performance.now() - begun))}`)
    process.stdout.write(`· ${title}`)
    clock = setInterval(draw, 1000)
  }
  const finish = (mark) => {
    clearInterval(clock)
    if (process.stdout.isTTY) process.stdout.write('\r\x1b[K')
    print(line(mark, inWords(performance.now() - begun)))
    for (const note of notes) print(note && `    ${note}`)
  }
  try {
    const result = await work((note) => notes.push(...note.split('\n')))
    finish(green('✓'))
    return result
  } catch (error) {
    finish(red('✗'))
    error.step = title
    throw error
  }
}

/* Rows of equal length as text in columns, the first row as their heads. */
function table (rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)))
  return rows
    .map((row) => row.map((cell, column) => String(cell).padEnd(widths[column])).join('   ').trimEnd())
    .map((line, index) => index === 0 ? dim(line) : line)
    .join('\n')
}

module.exports = { print, step, table, inWords, bold, dim, green, red }
