//! How large a batch may be, and how many are pipelined, wherever the servers are.

use crate::core::Description;

/// Large enough to keep the server busy, small enough not to hold up its other clients.
const MAX_BATCH_RECORDS: usize = 512;
const MAX_BATCH_BYTES: usize = 1 << 20;

/// Batches of a kind in the pipeline at once: one is worked on while the next is on its way.
const BATCHES_IN_PIPELINE: usize = 2;

/// What the engine must know of the server, or of the servers, that `target` names.
pub(super) fn description(target: String) -> Description {
    Description {
        target,
        max_batch_records: MAX_BATCH_RECORDS,
        max_batch_bytes: MAX_BATCH_BYTES,
        read_batches: BATCHES_IN_PIPELINE,
        write_batches: BATCHES_IN_PIPELINE,
        host_driven: true,
    }
}
