#!/usr/bin/env node
/*
 * Makes the npm packages: npm.js BUILT PLATFORM OUTPUT, where BUILT is the folder of the addon that cargo made, and PLATFORM
 * a name in bindings/node/platforms.json. The main package gets one optional dependency for each platform there.
 */
'use strict'

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { execFileSync } = require('node:child_process')

const ROOT = path.join(__dirname, '..')
const NODE = path.join(ROOT, 'bindings/node')
const MAIN = 'deepstream-connector'
const BY_NAME = ['deepstream.io-cache-native', 'deepstream.io-storage-native']

const version = execFileSync(path.join(__dirname, 'version'), { encoding: 'utf8' }).trim()
const platforms = JSON.parse(fs.readFileSync(path.join(NODE, 'platforms.json')))
const manifestOf = (folder) => JSON.parse(fs.readFileSync(path.join(folder, 'package.json')))

/* Packs a folder in which the manifest is this one. */
function pack (folder, manifest, output) {
  fs.writeFileSync(path.join(folder, 'package.json'), JSON.stringify(manifest, null, 2) + '\n')
  fs.copyFileSync(path.join(ROOT, 'LICENSE'), path.join(folder, 'LICENSE'))
  execFileSync('npm', ['pack', '--silent', '--pack-destination', output], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] })
}

function packMain (folder, output) {
  const optionalDependencies = Object.fromEntries(Object.keys(platforms).map((name) => [`${MAIN}-${name}`, version]))
  for (const name of fs.readdirSync(NODE)) {
    if (/\.(js|d\.ts|md)$/.test(name) || name === 'platforms.json') fs.copyFileSync(path.join(NODE, name), path.join(folder, name))
  }
  const { scripts, ...manifest } = manifestOf(NODE)
  pack(folder, { ...manifest, version, optionalDependencies }, output)
}

function packPlatform (folder, built, platform, output) {
  const name = `${MAIN}-${platform}`
  const addon = path.join(folder, `${MAIN}.node`)
  fs.copyFileSync(path.join(built, 'libdeepstream_connector_node.so'), addon)
  execFileSync('strip', ['--strip-unneeded', addon])
  fs.writeFileSync(path.join(folder, 'README.md'), `# ${name}\n\nThe addon of [${MAIN}](https://www.npmjs.com/package/${MAIN}) for ${platform}.\n`)
  const { license, repository, engines } = manifestOf(NODE)
  pack(folder, {
    name,
    version,
    description: `The addon of ${MAIN} for ${platform}`,
    license,
    repository,
    engines,
    ...platforms[platform],
    main: path.basename(addon),
    files: [path.basename(addon)],
    // Yarn keeps it as a file that the system can load.
    preferUnplugged: true
  }, output)
}

function packByName (folder, name, output) {
  const source = path.join(NODE, name)
  fs.copyFileSync(path.join(source, 'index.js'), path.join(folder, 'index.js'))
  const manifest = manifestOf(source)
  fs.writeFileSync(path.join(folder, 'README.md'), `# ${name}\n\n${manifest.description}.\n`)
  pack(folder, { ...manifest, version, dependencies: { [MAIN]: version } }, output)
}

function main (built, platform, output) {
  if (!output || !Object.hasOwn(platforms, platform)) {
    console.error(`usage: npm.js BUILT ${Object.keys(platforms).join('|')} OUTPUT`)
    process.exit(2)
  }
  output = path.resolve(output)
  fs.mkdirSync(output, { recursive: true })
  const work = fs.mkdtempSync(path.join(os.tmpdir(), 'connector-npm-'))
  const folder = (name) => fs.mkdtempSync(path.join(work, name))
  try {
    packMain(folder('main'), output)
    packPlatform(folder('platform'), built, platform, output)
    for (const name of BY_NAME) packByName(folder('name'), name, output)
  } finally {
    fs.rmSync(work, { recursive: true })
  }
}

main(...process.argv.slice(2))
