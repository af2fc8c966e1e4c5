//! How far a command is, how fast, and how long it will take.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::console::{console, Console};

/// How wide a bar is, in characters.
const WIDTH: u64 = 24;

/// Of one command's one part.
pub struct Progress {
    what: &'static str,
    total: Option<u64>,
    began: Instant,
    /// What was done before this program ran.
    first: u64,
    shown: Instant,
    console: &'static Console,
}

impl Progress {
    /// Begins with so many records done of a total, as far as that is known.
    pub fn begin(what: &'static str, first: u64, total: Option<u64>) -> Progress {
        let now = Instant::now();
        Progress { what, total, began: now, first, shown: now, console: console() }
    }

    /// The total is thought to be another one.
    pub fn of(&mut self, total: Option<u64>) {
        self.total = total;
    }

    /// So many records are done.
    pub fn at(&mut self, done: u64) {
        let pause = if self.console.is_terminal() { 100 } else { 1000 };
        if self.shown.elapsed() >= Duration::from_millis(pause) {
            self.shown = Instant::now();
            self.show(done);
        }
    }

    fn show(&self, done: u64) {
        let seconds = self.began.elapsed().as_secs_f64().max(0.001);
        #[allow(clippy::cast_precision_loss)]
        let rate = done.saturating_sub(self.first) as f64 / seconds;
        let total = self.total.filter(|total| *total >= done);
        #[allow(clippy::cast_precision_loss)]
        let left = total.filter(|_| rate > 0.0).map(|total| (total - done) as f64 / rate);
        let object = json!({
            "progress": self.what, "done": done, "total": total,
            "perSecond": rate.round(), "secondsLeft": left.map(f64::round),
        });
        let mut bar = self.what.to_owned();
        if let Some(total) = total {
            let filled = done.saturating_mul(WIDTH).checked_div(total).unwrap_or(WIDTH);
            let dots = |c: &str, count: u64| c.repeat(usize::try_from(count).unwrap_or_default());
            bar += &format!(
                " [{}{}] {done} of {total}",
                dots("#", filled),
                dots(".", WIDTH - filled.min(WIDTH))
            );
        } else {
            bar += &format!(" {done}");
        }
        bar += &format!(", {rate:.0}/s");
        if let Some(left) = left {
            bar += &format!(", {} left", in_words(left));
        }
        self.console.progress(&bar, &object);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.console.end_progress();
    }
}

/// Minutes and seconds, and hours where there are some.
fn in_words(seconds: f64) -> String {
    let seconds = Duration::from_secs_f64(seconds.clamp(0.0, 1e9)).as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        hours => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_clocks_do() {
        assert_eq!(in_words(0.4), "0:00");
        assert_eq!(in_words(61.0), "1:01");
        assert_eq!(in_words(3661.9), "1:01:01");
    }
}
