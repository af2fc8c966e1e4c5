//! What goes wrong.

use std::sync::atomic::Ordering;

use super::session::LinkState;
use super::World;
use crate::scenario::Fault;
use crate::time::SECOND;

impl World {
    /// Something goes wrong now.
    pub(super) fn suffer(&mut self, fault: Fault) {
        self.faults += 1;
        self.trace.say(self.now, || format!("** {fault:?}"));
        let now = self.now;
        // Pauses grow to a second at most, and what has gathered goes first.
        let after = 2 * self.setup.reconnect_max_delay + 2 * SECOND;
        let (node, lasts) = match fault {
            Fault::Silence { node, lasts } => {
                let until = &mut self.nodes[node].silent_until;
                *until = (*until).max(now + lasts);
                (node, lasts)
            }
            Fault::Loss { node, moment } => {
                self.nodes[node].losses.push(moment);
                // It goes wrong when a batch is there.
                return;
            }
            Fault::Cut { node, is_reset } => {
                self.cut(node, is_reset, "it was cut");
                (node, 0)
            }
            Fault::Down { node, lasts } => {
                let until = &mut self.nodes[node].down_until;
                *until = (*until).max(now + lasts);
                self.cut(node, true, "the server went down");
                (node, lasts)
            }
            Fault::Loading { node, lasts, says_when } => {
                self.nodes[node].load(now + lasts, says_when);
                (node, lasts)
            }
            Fault::Locked { node, every, lasts } => {
                self.nodes[node].lock(now + lasts, every);
                (node, lasts)
            }
            Fault::Slow { node, factor, lasts } => {
                self.nodes[node].slow_down(now + lasts, factor);
                (node, lasts + factor * (self.setup.latency + self.setup.spread))
            }
            Fault::Narrow { node, factor, lasts } => {
                self.nodes[node].narrow(now + lasts, factor);
                (node, lasts + 1_000 * SECOND)
            }
            Fault::Refusal { lasts } => {
                self.refused_until = self.refused_until.max(now + lasts);
                return;
            }
            Fault::Takeover => {
                (0..self.nodes.len()).for_each(|node| self.fence(node));
                self.shift.fetch_add(1, Ordering::Relaxed);
                self.rotation.forget();
                self.is_mixed = true;
                return self.disturb_all(after);
            }
        };
        self.disturb(node, now + lasts + after);
        if !self.setup.is_fleet {
            self.disturb_all(lasts + after);
        }
    }

    fn cut(&mut self, node: usize, is_reset: bool, why: &str) {
        let Some(session) = self.sessions.len().checked_sub(1) else { return };
        let is_up = self.sessions[session].links[node].state == LinkState::Up;
        if is_up && !self.sessions[session].is_over {
            self.lose(session, node, is_reset, why);
        }
    }

    /// Nothing goes wrong any more.
    pub fn heal(&mut self) {
        self.trace.say(self.now, || "** all is well".into());
        self.nodes.iter_mut().for_each(|node| node.losses.clear());
    }
}
