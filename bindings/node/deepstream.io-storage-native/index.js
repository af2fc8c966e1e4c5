// Found by deepstream servers for `storage: {name: native, options: {type: …}}`.
'use strict'

function find () {
  try {
    return require.resolve('deepstream-connector')
  } catch (error) {
    // Not installed: then this folder is where the sources have it.
    return require.resolve('..')
  }
}

module.exports = require(find())
