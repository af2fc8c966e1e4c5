// Each statement below a comment must not compile.
import Connector = require('deepstream-connector')

const modern: Connector.Modern = new Connector({ type: 'memory' }, {})
// @ts-expect-error an option that there is not
new Connector({ type: 'redis', tsl: true })
// @ts-expect-error another backend's
new Connector({ type: 'memory', host: 'x' })
// @ts-expect-error no such backend
new Connector({ type: 'reddis' })
// @ts-expect-error no number
new Connector({ type: 'memory', timeout: 'soon' })
// @ts-expect-error the version is missing
modern.set('a', {}, () => {})
// @ts-expect-error milliseconds are a number
modern.get('a', { timeout: '5' })
// @ts-expect-error a controller is no signal
modern.set('a', 1, {}, { signal: new AbortController() })
// @ts-expect-error no such option
modern.head('a', { tmeout: 5 })
// @ts-expect-error milliseconds are a number
modern.whenReady({ timeout: '5' })
// @ts-expect-error one name is no list
modern.getMany('a')
// @ts-expect-error the version is missing
modern.setMany([{ name: 'a', data: {} }])
// @ts-expect-error a value is a classic connector's
modern.setMany([{ name: 'a', value: {} }])
