// What the tests share.
'use strict'

const { spawn } = require('child_process')
const path = require('path')
const Connector = require('..')

const FOLDER = path.join(__dirname, '..')

/** A modern connector, closed at the end of the test. */
function modern (t, options = {}, services = {}) {
  const connector = new Connector({ type: 'memory', ...options }, services)
  t.after(() => connector.close())
  return connector
}

/** A classic one. */
function classic (t, options = {}) {
  const connector = new Connector({ type: 'memory', ...options })
  t.after(() => connector.close())
  return connector
}

/** Calls a method; gives all that its callback was called with. */
function call (connector, method, ...args) {
  return new Promise((resolve) => connector[method](...args, (...results) => resolve(results)))
}

/** Calls a method; gives the error its callback was called with. */
async function failure (connector, method, ...args) {
  const [error] = await call(connector, method, ...args)
  return error
}

/** Waits for this many turns of the event loop. */
async function turns (count) {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

/**
 * Runs code in a process of its own, in which `Connector` and `memory()` exist.
 *
 * @returns {Promise<{status: number | null, signal: string | null, stdout: string, stderr: string}>}
 */
function run (code, { flags = [], seconds = 30 } = {}) {
  const prelude = `
    const Connector = require(${JSON.stringify(FOLDER)})
    const memory = (options) => new Connector({ type: 'memory', ...options }, {})
  `
  const child = spawn(process.execPath, [...flags, '-e', prelude + code], { stdio: ['ignore', 'pipe', 'pipe'] })
  const timer = setTimeout(() => child.kill('SIGKILL'), seconds * 1000)
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (bytes) => { output.stdout += bytes })
  child.stderr.on('data', (bytes) => { output.stderr += bytes })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status, signal) => {
      clearTimeout(timer)
      resolve({ status, signal, ...output })
    })
  })
}

/** How many handles of ours the event loop of this thread has: polls and idles, open or not. */
function handles () {
  const { libuv } = process.report.getReport()
  return libuv.filter(({ type }) => type === 'poll' || type === 'idle').length
}

module.exports = { Connector, FOLDER, modern, classic, call, failure, turns, run, handles }
