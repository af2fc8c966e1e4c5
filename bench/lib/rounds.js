/* Interleaving: both sides are measured in every round, and take turns in going first. */
'use strict'

/*
 * Calls `measure(side, round)` for each side and round, and resolves to { side: [result of each round] }. A round
 * without a number comes first and is not kept: caches fill, code is compiled, connections open their windows.
 */
async function interleave (sides, rounds, measure) {
  const results = Object.fromEntries(sides.map((side) => [side, []]))
  for (let round = -1; round < rounds; round++) {
    const order = round % 2 === 0 ? sides : [...sides].reverse()
    for (const side of order) {
      const result = await measure(side, round)
      if (round >= 0) results[side].push(result)
    }
  }
  return results
}

module.exports = { interleave }
