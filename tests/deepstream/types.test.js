/* Programs in TypeScript, with either interface, compile with our types; and wrong ones do not. */
'use strict'

const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const { execFile } = require('node:child_process')
const { test } = require('node:test')
const { modules } = require('./harness')
const { ADDON, folder } = require('./connector')

test('programs with either interface compile, and wrong options do not', async (t) => {
  const installed = modules('types')
  const project = path.join(folder(t), 'tsconfig.json')
  fs.writeFileSync(project, JSON.stringify({
    compilerOptions: {
      strict: true,
      noEmit: true,
      target: 'es2022',
      module: 'node16',
      moduleResolution: 'node16',
      esModuleInterop: true,
      typeRoots: [path.join(installed, '@types')],
      types: ['node'],
      paths: {
        'deepstream-connector': [path.join(ADDON, 'index.d.ts')],
        '@deepstream/types': [path.join(installed, '@deepstream/types/dist/index.d.ts')]
      }
    },
    files: ['classic.ts', 'modern.ts', 'wrong.ts'].map((file) => path.join(__dirname, 'types', file))
  }))
  const said = await new Promise((resolve) => {
    const words = [path.join(installed, 'typescript/bin/tsc'), '-p', project]
    execFile(process.execPath, words, (error, stdout) => resolve(`${stdout}${error ? error.message : ''}`))
  })
  assert.strictEqual(said, '')
})
