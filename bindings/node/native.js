// The addon itself, or an error that says where it was looked for. What is tried: the file that the environment names, the
// local build, the package of this platform.
'use strict'

const path = require('path')
const platforms = require('./platforms.json')

const VARIABLE = 'CONNECTOR_ADDON'
const BUILD = 'run "make node" in the project\'s folder, or name a build of it in the variable ' + VARIABLE

/** Such as `linux-x64-gnu`. */
function platformOf ({ platform, arch }) {
  return platform === 'linux' ? `${platform}-${arch}-${hasGlibc() ? 'gnu' : 'musl'}` : `${platform}-${arch}`
}

function hasGlibc () {
  const { report } = process
  const { excludeNetwork } = report
  // Names of hosts are not asked for.
  report.excludeNetwork = true
  try {
    return Boolean(report.getReport().header.glibcVersionRuntime)
  } finally {
    report.excludeNetwork = excludeNetwork
  }
}

/** Each place: what to require, what it is called, and what to do if it is not there. */
function * places () {
  const named = process.env[VARIABLE]
  if (named) {
    yield { module: path.resolve(named), name: `${named}, which ${VARIABLE} names,`, remedy: 'correct the variable' }
    return
  }
  yield { module: './deepstream-connector.node', name: 'a local build', remedy: BUILD }
  const platform = platformOf(process)
  const module = `deepstream-connector-${platform}`
  yield { module, name: `the package ${module}`, remedy: remedyOf(platform, module) }
}

function remedyOf (platform, module) {
  return Object.hasOwn(platforms, platform)
    ? `install it; it is an optional dependency, which --omit=optional or a lockfile of another system leaves out`
    : `there is none for this system, only for ${Object.keys(platforms).join(', ')}: ${BUILD}`
}

function load () {
  const tried = []
  let first
  for (const { module, name, remedy } of places()) {
    try {
      return require(module)
    } catch (cause) {
      const absent = cause.code === 'MODULE_NOT_FOUND'
      tried.push(absent ? `${name} is not there (${remedy})` : `${name} cannot be loaded: ${cause.message}`)
      // One that is there and broken says more than one that is not.
      if (first === undefined || (first.code === 'MODULE_NOT_FOUND' && !absent)) first = cause
    }
  }
  const error = new Error(`deepstream-connector has no addon to load: ${tried.join('; ')}`)
  error.code = first.code
  error.cause = first
  throw error
}

module.exports = load()
