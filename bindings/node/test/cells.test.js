// The numbers in the cells are the addon's; JavaScript has them by their names.
'use strict'

const assert = require('assert')
const fs = require('fs')
const path = require('path')
const test = require('node:test')
const native = require('../native.js')
const { FOLDER } = require('./helper.js')

for (const [table, file] of [['deliveries', 'deliveries.js'], ['failures', 'deliveries.js'], ['submissions', 'submissions.js']]) {
  test(`each_number_of_the_cells_has_its_name_in_javascript (${table})`, () => {
    const source = fs.readFileSync(path.join(FOLDER, file), 'utf8')
    const [, names] = source.match(new RegExp(`const {([^}]*)} = native\\.${table}\\n`))
    assert.deepStrictEqual(names.trim().split(/,\s*/).sort(), Object.keys(native[table]).sort())
    assert.ok(Object.values(native[table]).every(Number.isInteger))
  })
}

test('what_a_delivery_is_has_a_number_of_its_own_below_those_of_records', () => {
  const { MAX, CELLS, PART, ...kinds } = native.deliveries
  const numbers = Object.values(kinds)
  assert.ok(numbers.every((number) => number < 0))
  assert.strictEqual(new Set(numbers).size, numbers.length)
  // Those of operations are not negative.
  assert.ok(PART < 0)
})
