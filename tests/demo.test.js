/* The demo runs, and the commands with which it ends work. */
'use strict'

const assert = require('node:assert')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const test = require('node:test')
const { once } = require('node:events')
const { promisify } = require('node:util')
const { execFile, spawn } = require('node:child_process')

const ROOT = path.join(__dirname, '..')

const run = async (...command) => (await promisify(execFile)(command[0], command.slice(1), { cwd: ROOT })).stdout

test('the demo tells its story, and the reader can go on by hand', { timeout: 400000 }, async (t) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'demo-'))
  t.after(() => fs.rmSync(dir, { recursive: true }))
  const output = await run('demo/run', '--dir', dir, '--port', '0')
  for (const line of [
    /^✓ Build the connector, .* (ms|s)$/m,
    /^✓ Start a deepstream 7\.0\.2 server .* (ms|s)$/m,
    /^✓ A busy day: 1,000 updates .* (ms|s)$/m,
    /^ {4}the server has acknowledged every one, [\d,]+ a second$/m,
    /^✓ Every record is back, from the file .* (ms|s)$/m,
    /^ {4}bikes\/1 {3}202 {7}Comet {4}with Ada {11}2,000 m$/m,
    /^ {4}1 {4}202 {7}Comet {4}Ada {5}2000$/m,
    /^ {4}Market Square {3}2 {7}Daisy, Zoë$/m,
    /^All of it took .*\.$/m
  ]) assert.match(output, line)
  assert.doesNotMatch(output, /\x1b|✗|undefined/)

  const commands = output.slice(output.indexOf('Now you')).match(/^ {4}.*$/gm).map((line) => line.trim())
  const [start, list, set, watch, sql] = commands
  assert.match(watch, / watch bikes\/1$/)
  const server = spawn('bash', ['-c', `exec ${start}`], { cwd: ROOT, stdio: 'ignore' })
  const ended = once(server, 'exit')
  t.after(() => server.kill('SIGKILL'))
  for (let left = 100; ; left--) {
    try {
      assert.match(await run('bash', '-c', list), /^bikes\/1 .* with Ada /m)
      break
    } catch (error) {
      if (!left) throw error
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
  assert.match(await run('bash', '-c', set), /^done: version 203$/m)
  assert.match(await run('bash', '-c', sql), /^1 .* 203 .*"rider":"Grace"/m)
  server.kill('SIGINT')
  assert.deepStrictEqual(await ended, [0, null])
})

test('a step that fails is named, and the demo fails', async (t) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'demo-'))
  t.after(() => fs.rmSync(dir, { recursive: true }))
  fs.writeFileSync(path.join(dir, 'cargo'), '#!/bin/sh\necho "error: out of luck" >&2\nexit 101\n', { mode: 0o755 })
  const env = { ...process.env, PATH: `${dir}:${process.env.PATH}`, CARGO_TARGET_DIR: dir }
  const failing = promisify(execFile)('demo/run', ['--dir', dir, '--port', '0'], { cwd: ROOT, env })
  await assert.rejects(failing, (error) => {
    assert.strictEqual(error.code, 1)
    assert.match(error.stdout, /^The step "Build the connector.*" failed:$/m)
    assert.match(error.stdout, /out of luck/)
    return true
  })
})
