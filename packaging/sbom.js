#!/usr/bin/env node
/*
 * Writes the bill of materials of the libraries, in CycloneDX's JSON: sbom.js OUTPUT
 * It names each crate that is linked, and for what: what only tests, build scripts or macros need is not there.
 */
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { execFileSync } = require('node:child_process')

const ROOT = path.join(__dirname, '..')
const NAME = 'deepstream-connector'
const args = ['metadata', '--format-version', '1', '--locked', '--features', 'full', '--filter-platform', 'x86_64-unknown-linux-gnu']
const text = execFileSync(process.env.CARGO || 'cargo', args, { cwd: ROOT, encoding: 'utf8', maxBuffer: 1 << 28 })
const { packages, resolve } = JSON.parse(text)

const packageOf = new Map(packages.map((one) => [one.id, one]))
const nodeOf = new Map(resolve.nodes.map((node) => [node.id, node]))
const isMacro = (id) => packageOf.get(id).targets.some((target) => target.kind.includes('proc-macro'))
const referenceOf = ({ name, version }) => `pkg:cargo/${name}@${version}`

/* What a crate is linked with. */
function linked (id) {
  const normal = nodeOf.get(id).deps.filter((dep) => dep.dep_kinds.some(({ kind }) => kind === null))
  return normal.map((dep) => dep.pkg).filter((id) => !isMacro(id))
}

/* All that a crate leads to, itself first. */
function reached (id, seen = new Set()) {
  if (seen.has(id)) return seen
  seen.add(id)
  linked(id).forEach((next) => reached(next, seen))
  return seen
}

function component (one) {
  const { name, version, description, license, repository } = one
  return {
    type: 'library',
    'bom-ref': referenceOf(one),
    name,
    version,
    ...description && { description: description.replace(/\s+/g, ' ').trim() },
    // Cargo wrote "or" as a slash once.
    ...license && { licenses: [{ expression: license.replace(/ ?\/ ?/g, ' OR ') }] },
    purl: referenceOf(one),
    ...repository && { externalReferences: [{ type: 'vcs', url: repository }] }
  }
}

const root = packages.find((one) => one.name === NAME)
const all = [...reached(root.id)].map((id) => packageOf.get(id)).sort((a, b) => referenceOf(a) < referenceOf(b) ? -1 : 1)
fs.writeFileSync(process.argv[2], JSON.stringify({
  bomFormat: 'CycloneDX',
  specVersion: '1.5',
  version: 1,
  metadata: { component: component(root) },
  components: all.filter((one) => one !== root).map((one) => component(one)),
  dependencies: all.map((one) => ({
    ref: referenceOf(one),
    dependsOn: [...new Set(linked(one.id).map((id) => referenceOf(packageOf.get(id))))].sort()
  }))
}, null, 1) + '\n')
