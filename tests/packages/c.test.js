/* What C and C++ programs are built with: installed by make, found by pkg-config and CMake, linked in both ways. */
'use strict'

const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const test = require('node:test')
const { ALL, ROOT, VERSION, folder, follow, has, packageOf, run } = require('./support')

const PRINTS = 'user/ada: version 1, {"name": "Ada", "born": 1815}\n'
const BUILT = process.env.BUILT || path.join(process.env.CARGO_TARGET_DIR || path.join(ROOT, 'target'), 'release')
const onlyAll = { skip: !ALL && 'only with all packages' }

/* A prefix: of the release's tar, or by `make install`; it is moved, so that nothing may remember where it was. */
async function prefix (t) {
  const home = folder(t)
  const moved = path.join(home, 'moved')
  if (ALL) {
    await run('tar', ['-xzf', packageOf(/^deepstream-connector-c-.*\.tar\.gz$/), '-C', home])
    fs.renameSync(path.join(home, fs.readdirSync(home)[0]), moved)
  } else {
    await run('make', ['-s', '-C', ROOT, 'install', 'PREFIX=/opt/connector', `DESTDIR=${home}`], { env: { BUILT } })
    fs.renameSync(path.join(home, 'opt/connector'), moved)
  }
  return moved
}

function words (text) {
  return text.trim().split(/\s+/)
}

test('what is installed is found and linked', async (t) => {
  const place = await prefix(t)
  const env = { PKG_CONFIG_PATH: path.join(place, 'lib/pkgconfig') }
  const library = (name) => path.join(place, 'lib', name)

  await t.test('every file is there', async () => {
    assert.strictEqual(fs.readlinkSync(library('libdeepstream_connector.so.0')), `libdeepstream_connector.so.${VERSION}`)
    assert.strictEqual(fs.readlinkSync(library('libdeepstream_connector.so')), 'libdeepstream_connector.so.0')
    assert.match(await run('readelf', ['-d', library('libdeepstream_connector.so')]), /SONAME.*\[libdeepstream_connector\.so\.0\]/)
    for (const name of ['include/deepstream_connector.h', 'include/deepstream_connector.hpp', 'share/man/man3/deepstream_connector.3', 'share/doc/deepstream_connector/LICENSE']) {
      assert.ok(fs.existsSync(path.join(place, name)), name)
    }
  })

  await t.test('both libraries give nothing but connector_*', async () => {
    for (const args of [['-D', library('libdeepstream_connector.so')], ['-g', library('libdeepstream_connector.a')]]) {
      const symbols = (await run('nm', ['--defined-only', ...args])).split('\n').filter((line) => / [A-TV-Z] /.test(line))
      const foreign = symbols.filter((line) => !/ connector_\w+$/.test(line))
      assert.ok(symbols.length > 20, symbols.join('\n'))
      assert.deepStrictEqual(foreign, [])
    }
  })

  await t.test('pkg-config: a program with the shared library', async (t) => {
    if (!has(t, 'pkg-config', 'pkg-config', '--version')) return
    const flags = words(await run('pkg-config', ['--cflags', '--libs', 'deepstream_connector'], { env }))
    assert.strictEqual((await run('pkg-config', ['--modversion', 'deepstream_connector'], { env })).trim(), VERSION)
    const program = path.join(place, 'shared')
    await run('cc', [path.join(ROOT, 'examples/first.c'), ...flags, `-Wl,-rpath,${path.join(place, 'lib')}`, '-o', program])
    assert.strictEqual(await run(program, []), PRINTS)
    assert.match(await run('readelf', ['-d', program]), /NEEDED.*\[libdeepstream_connector\.so\.0\]/)
    await run('c++', ['-std=c++17', path.join(ROOT, 'examples/first.cpp'), ...flags, `-Wl,-rpath,${path.join(place, 'lib')}`, '-o', program])
    assert.strictEqual(await run(program, []), PRINTS)
  })

  await t.test('pkg-config: a static link needs what Libs.private names, and no more', async (t) => {
    if (!has(t, 'pkg-config', 'pkg-config', '--version')) return
    const flags = words(await run('pkg-config', ['--static', '--cflags', '--libs', 'deepstream_connector'], { env }))
    const linked = flags.map((flag) => flag === '-ldeepstream_connector' ? '-l:libdeepstream_connector.a' : flag)
    const program = path.join(place, 'static')
    // Nothing is linked but what is named.
    await run('cc', ['-nodefaultlibs', path.join(ROOT, 'examples/first.c'), ...linked, '-o', program])
    assert.strictEqual(await run(program, []), PRINTS)
    assert.doesNotMatch(await run('readelf', ['-d', program]), /libdeepstream_connector/)
  })

  await t.test('CMake: both targets, for a version that is asked for', async (t) => {
    if (!has(t, 'cmake', 'cmake', '--version')) return
    const home = folder(t)
    for (const name of ['first.c', 'first.cpp']) fs.copyFileSync(path.join(ROOT, 'examples', name), path.join(home, name))
    fs.writeFileSync(path.join(home, 'CMakeLists.txt'), `cmake_minimum_required(VERSION 3.13)
project(first C CXX)
set(CMAKE_CXX_STANDARD 17)
find_package(deepstream_connector ${VERSION} REQUIRED)
add_executable(shared first.c)
target_link_libraries(shared deepstream_connector::deepstream_connector)
add_executable(static first.c)
target_link_libraries(static deepstream_connector::static)
add_executable(shared++ first.cpp)
target_link_libraries(shared++ deepstream_connector::deepstream_connector)
add_executable(static++ first.cpp)
target_link_libraries(static++ deepstream_connector::static)
find_package(deepstream_connector 9 QUIET)
if(deepstream_connector_FOUND)
  message(FATAL_ERROR "it passes for version 9")
endif()
`)
    await run('cmake', ['-S', '.', '-B', 'build', `-DCMAKE_PREFIX_PATH=${place}`], { cwd: home })
    await run('cmake', ['--build', 'build'], { cwd: home })
    for (const name of ['shared', 'static', 'shared++', 'static++']) assert.strictEqual(await run(path.join(home, 'build', name), []), PRINTS)
  })

  await t.test('the man page has no faults', async (t) => {
    if (!has(t, 'groff', 'groff', '--version')) return
    const page = path.join(place, 'share/man/man3/deepstream_connector.3')
    const said = await run('sh', ['-c', 'groff -man -Tascii -ww -z "$0" 2>&1', page])
    assert.strictEqual(said, '')
  })
})

test('the packages for Debian are accepted by lintian', onlyAll, async (t) => {
  if (!has(t, 'lintian', 'lintian', '--version')) return
  const packages = [packageOf(/^libdeepstream-connector0_.*\.deb$/), packageOf(/^libdeepstream-connector-dev_.*\.deb$/)]
  const said = await run('lintian', ['--allow-root', '--fail-on', 'error,warning', '--suppress-tags', 'initial-upload-closes-no-bugs', ...packages])
  t.diagnostic(said)
})

test('the packages for Debian install onto an empty root, and a program is built with them', onlyAll, async (t) => {
  const home = folder(t)
  for (const pattern of [/^libdeepstream-connector0_.*\.deb$/, /^libdeepstream-connector-dev_.*\.deb$/]) {
    await run('dpkg-deb', ['--extract', packageOf(pattern), home])
  }
  const [triplet] = fs.readdirSync(path.join(home, 'usr/lib'))
  const libraries = path.join(home, 'usr/lib', triplet)
  const flags = words(await run('pkg-config', ['--cflags', '--libs', 'deepstream_connector'], { env: { PKG_CONFIG_PATH: path.join(libraries, 'pkgconfig') } }))
  const program = path.join(home, 'first')
  await run('cc', [path.join(ROOT, 'examples/first.c'), ...flags, '-o', program])
  assert.strictEqual(await run(program, [], { env: { LD_LIBRARY_PATH: libraries } }), PRINTS)
})

test('the tar is used as the page says', onlyAll, async (t) => {
  const home = folder(t)
  for (const extension of ['c', 'cpp']) {
    fs.copyFileSync(path.join(ROOT, `examples/first.${extension}`), path.join(home, `program.${extension}`))
  }
  await follow('c', home)
  for (const name of ['program', 'program++']) {
    assert.strictEqual(await run(path.join(home, name), [], { env: { LD_LIBRARY_PATH: path.join(home, 'connector/lib') } }), PRINTS)
  }
})
