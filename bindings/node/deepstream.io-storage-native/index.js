// Found by deepstream servers for `storage: {name: native, options: {type: …}}`.
'use strict'

module.exports = require('deepstream-connector')
