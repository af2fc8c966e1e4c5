// Found by deepstream servers for `cache: {name: native, options: {type: …}}`.
'use strict'

module.exports = require('deepstream-connector')
