/* What the figures were measured on. */
'use strict'

const os = require('node:os')
const { execFileSync } = require('node:child_process')

/* With more than this running already, figures are noise. */
const QUIET = 0.5

function describe () {
  const [cpu] = os.cpus()
  return {
    cpu: cpu ? cpu.model.trim() : os.arch(),
    cores: os.cpus().length,
    memory: `${Math.round(os.totalmem() / 2 ** 30)} GiB`,
    system: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.versions.node,
    load: Number(os.loadavg()[0].toFixed(2)),
    date: new Date().toISOString()
  }
}

function inWords (machine) {
  return `${machine.cpu}, ${machine.cores} cores, ${machine.memory}, ${machine.system}, Node.js ${machine.node}; ` +
    `load average ${machine.load} at the start, ${machine.date.slice(0, 16).replace('T', ' ')} UTC`
}

/* A sentence if the machine has other work, else null. */
function disturbance (machine) {
  if (machine.load <= QUIET) return null
  return `the load average is ${machine.load}: other programs are running, so take these figures for noise`
}

function announce (machine) {
  const warning = disturbance(machine)
  console.log(inWords(machine))
  if (warning) console.log(`WARNING: ${warning}`)
}

/* The version number that a program prints. */
function versionOf (program, ...options) {
  const words = execFileSync(program, options.length > 0 ? options : ['--version'], { encoding: 'utf8' })
  const [version] = words.match(/\d+\.\d+(\.\d+)?/) || ['?']
  return version
}

module.exports = { describe, inWords, disturbance, announce, versionOf }
