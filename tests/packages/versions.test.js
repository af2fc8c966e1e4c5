/* The version stands in Cargo.toml; what else names it says the same. */
'use strict'

const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const test = require('node:test')
const { ROOT, VERSION, packageOf, run } = require('./support')

test('every manifest has the version of Cargo.toml', () => {
  for (const folder of ['', 'deepstream.io-cache-native', 'deepstream.io-storage-native']) {
    const file = path.join(ROOT, 'bindings/node', folder, 'package.json')
    const { version, dependencies = {} } = JSON.parse(fs.readFileSync(file))
    assert.deepStrictEqual([version, ...Object.values(dependencies)].filter((one) => one !== VERSION), [], file)
  }
})

test('the interface has one number', async () => {
  const abi = (await run(path.join(ROOT, 'packaging/version'), ['abi'])).trim()
  const python = fs.readFileSync(path.join(ROOT, 'bindings/python/deepstream_connector.py'), 'utf8')
  assert.strictEqual(python.match(/^_ABI_VERSION = (\d+)$/m)[1], abi)
})

test('every package has the version in its name', () => {
  packageOf(new RegExp(`^deepstream-connector-${VERSION}\\.crate$`))
  packageOf(new RegExp(`^deepstream-connector-${VERSION}\\.tgz$`))
})

test('the crate has what a build needs, and no tests', async () => {
  const list = (await run('tar', ['-tzf', packageOf(/\.crate$/)])).trim().split('\n').map((name) => name.slice(name.indexOf('/') + 1))
  for (const name of ['Cargo.toml', 'Cargo.lock', 'build.rs', 'src/lib.rs', 'include/deepstream_connector.h', 'docs/languages.md', 'README.md', 'LICENSE']) {
    assert.ok(list.includes(name), name)
  }
  const folders = new Set(list.filter((name) => name.includes('/')).map((name) => name.split('/')[0]))
  assert.deepStrictEqual([...folders].sort(), ['docs', 'examples', 'include', 'src'])
})
