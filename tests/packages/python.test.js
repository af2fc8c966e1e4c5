/* The wheel and the source distribution, installed into empty environments and used there. */
'use strict'

const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const test = require('node:test')
const { ALL, VERSION, folder, follow, has, packageOf, run } = require('./support')

/* Nothing may be asked of any index. */
const OFFLINE = { PIP_NO_INDEX: '1', PIP_DISABLE_PIP_VERSION_CHECK: '1', PIP_QUIET: '1', PIP_ROOT_USER_ACTION: 'ignore' }

const PROGRAM = `
import importlib.metadata, os
import deepstream_connector
from deepstream_connector import Connector, ConnectorError
beside = os.listdir(os.path.dirname(deepstream_connector.__file__))
assert {"py.typed", "libdeepstream_connector.so.0"} <= set(beside), beside
with Connector({"type": "memory"}) as cache:
    cache.set("user/1", 1, {"name": "Ada"})
    record = cache.get("user/1").result()
    try:
        cache.scan().result()
    except ConnectorError as error:
        print(record.version, record.data, error.code, importlib.metadata.version("deepstream-connector"))
`
const PRINTS = `1 {'name': 'Ada'} UNSUPPORTED ${VERSION}\n`

async function isUsed (python) {
  // What the variable names is for those who have no wheel.
  const env = { CONNECTOR_LIBRARY: '/nowhere/libdeepstream_connector.so.0' }
  assert.strictEqual(await run(python, ['-c', PROGRAM], { cwd: '/', env }), PRINTS)
}

/* Whether a Python is here that can make environments. */
const hasPython = (t) => has(t, 'python3 with venv', 'python3', '-c', 'import ensurepip, venv')

test('pip installs the wheel into an empty environment', async (t) => {
  if (!hasPython(t)) return
  const home = folder(t)
  packageOf(new RegExp(`^deepstream_connector-${VERSION}-py3-none-${ALL ? 'manylinux_2_17' : 'linux'}_x86_64\\.whl$`))
  await follow('python', home, OFFLINE)
  const python = path.join(home, 'venv/bin/python')
  await isUsed(python)
  await run(python, ['-m', 'pip', 'uninstall', '--yes', 'deepstream-connector'], { env: OFFLINE })
  assert.strictEqual(await run(python, ['-c', 'import importlib.util as u; print(u.find_spec("deepstream_connector"))']), 'None\n')
})

for (const minor of [9, 10, 11, 12, 13, 14]) {
  test(`pip of Python 3.${minor} installs the wheel`, { skip: !ALL && 'only with all packages' }, async (t) => {
    const python = `python3.${minor}`
    try {
      await run(python, ['-c', 'import ensurepip, venv'])
    } catch {
      return t.skip(`${python} is not on this machine`)
    }
    const home = folder(t)
    await run(python, ['-m', 'venv', 'venv'], { cwd: home })
    await run('venv/bin/pip', ['install', packageOf(/\.whl$/)], { cwd: home, env: OFFLINE })
    await isUsed(path.join(home, 'venv/bin/python'))
  })
}

test('auditwheel and twine accept them', { skip: !ALL && 'only with all packages' }, async (t) => {
  const home = folder(t)
  await run('python3', ['-m', 'venv', 'venv'], { cwd: home })
  await run('venv/bin/pip', ['install', 'auditwheel', 'twine'], { cwd: home, env: { ...OFFLINE, PIP_NO_INDEX: '' } })
  const wheel = packageOf(/\.whl$/)
  const shown = await run('venv/bin/auditwheel', ['show', wheel], { cwd: home })
  assert.match(shown.replaceAll('\n', ' '), /is consistent with the following platform tag: +"manylinux_2_1[0-7]_x86_64"/)
  const checked = await run('venv/bin/twine', ['check', '--strict', wheel, packageOf(/^deepstream_connector-.*\.tar\.gz$/)], { cwd: home })
  assert.strictEqual(checked.match(/PASSED/g).length, 2, checked)
})

test('the source distribution has what cargo builds it from', async (t) => {
  if (!hasPython(t)) return
  const list = (await run('tar', ['-tzf', packageOf(/^deepstream_connector-.*\.tar\.gz$/)])).trim().split('\n')
  const inner = list.map((name) => name.slice(name.indexOf('/') + 1))
  for (const name of ['PKG-INFO', 'LICENSE', 'pyproject.toml', 'backend/connector_build.py', 'rust/Cargo.lock', 'rust/build.rs', 'rust/src/lib.rs']) {
    assert.ok(inner.includes(name), name)
  }
  assert.deepStrictEqual(inner.filter((name) => /^rust\/(tests|bench|demo|bindings|simulation|target)\//.test(name)), [])
})

test('pip builds the source distribution with cargo', { skip: !ALL && 'only with all packages' }, async (t) => {
  const home = folder(t)
  await run('python3', ['-m', 'venv', 'venv'], { cwd: home })
  const env = { ...OFFLINE, CONNECTOR_FEATURES: 'memory', CARGO_TARGET_DIR: path.join(home, 'target') }
  await run('venv/bin/pip', ['install', packageOf(/^deepstream_connector-.*\.tar\.gz$/)], { cwd: home, env })
  await isUsed(path.join(home, 'venv/bin/python'))
})
