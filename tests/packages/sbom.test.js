/* The bill of materials names what is linked, and nothing else. */
'use strict'

const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const test = require('node:test')
const { ROOT, VERSION, folder, run } = require('./support')

test('the bill of materials is of what is linked', async (t) => {
  const file = path.join(folder(t), 'sbom.json')
  await run(path.join(ROOT, 'packaging/sbom.js'), [file])
  const { metadata, components, dependencies } = JSON.parse(fs.readFileSync(file))
  assert.strictEqual(metadata.component.version, VERSION)
  const names = components.map((component) => component.name)
  for (const name of ['ring', 'libsqlite3-sys', 'mongodb', 'scylla', 'tokio']) assert.ok(names.includes(name), name)
  for (const name of ['proptest', 'tempfile', 'serde_derive', 'cc']) assert.ok(!names.includes(name), name)
  const known = new Set([metadata.component, ...components].map((component) => component['bom-ref']))
  for (const { ref, dependsOn } of dependencies) for (const one of [ref, ...dependsOn]) assert.ok(known.has(one), one)
})
