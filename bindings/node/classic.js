// Values of the classic interface, which may be any of JSON's. One of exactly `{_v, _d}` is a
// record; any other is a record whose data are `{"__dsValue": value}`, and so is a record whose
// own data look like that, whole. See src/records/classic.rs.
'use strict'

/** How the text of data begins that hold a value. */
const HOLDER = '{"__dsValue"'

/** Whether a value has a version and data and nothing else. */
function isRecord (value) {
  if (value === null || typeof value !== 'object' || !Number.isSafeInteger(value._v)) return false
  if (value._d === undefined || typeof value.toJSON === 'function') return false
  let members = 0
  for (const name in value) {
    if (name !== '_v' && name !== '_d') return false
    members++
  }
  // What is inherited JSON does not see.
  return members === 2 && Object.hasOwn(value, '_v') && Object.hasOwn(value, '_d')
}

/**
 * A value as a record: its version and the text of its data.
 *
 * @returns {{version: number, text: string | undefined}} no text where JSON cannot hold the value
 * @throws whatever `JSON.stringify` throws
 */
function recordOf (value) {
  if (isRecord(value)) {
    const text = JSON.stringify(value._d)
    if (text !== undefined && !text.startsWith(HOLDER)) return { version: value._v, text }
  }
  const text = JSON.stringify(value)
  if (text === undefined) return { version: 0, text }
  // As it will come back.
  const plain = JSON.parse(text)
  const version = plain === null || plain._v === undefined ? 0 : plain._v
  if (isRecord(plain)) {
    const data = JSON.stringify(plain._d)
    if (!data.startsWith(HOLDER)) return { version, text: data }
  }
  // A version that is too large would come back as another.
  const isVersion = Number.isInteger(version) && plain !== null && plain._d !== undefined && Object.keys(plain).length === 2
  return { version: isVersion || Number.isSafeInteger(version) ? version : 0, text: `${HOLDER}:${text}}` }
}

/** Whether the data of a record hold a value. */
function holdsValue (data) {
  if (data === null || typeof data !== 'object' || data.__dsValue === undefined) return false
  return Object.keys(data).length === 1
}

/** A record as a value again, from its version and the text of its data. */
function valueOf (version, text) {
  const data = JSON.parse(text)
  if (text.startsWith(HOLDER) && holdsValue(data)) return data.__dsValue
  return { _v: version, _d: data }
}

module.exports = { recordOf, valueOf, holdsValue }
