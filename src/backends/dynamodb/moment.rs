//! Points in time as AWS writes them, in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;

/// Seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(pub u64);

impl Moment {
    pub fn now() -> Moment {
        Moment(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }

    /// `20150830T123600Z`, as signatures have it.
    pub fn compact(self) -> String {
        let (year, month, day) = date_of(self.0 / DAY);
        let seconds = self.0 % DAY;
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
    }

    /// Reads `2015-08-30T12:36:00Z`, with or without a fraction of a second, as expiry dates of
    /// credentials are written.
    pub fn parse(text: &str) -> Option<Moment> {
        let number = |from: usize, to: usize| -> Option<u64> {
            let digits = text.get(from..to)?;
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
        };
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        let in_range = year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day);
        if !in_range || hour > 23 || minute > 59 || second > 60 || !text.ends_with('Z') {
            return None;
        }
        Some(Moment(days_until(year, month, day) * DAY + hour * 3600 + minute * 60 + second))
    }
}

/// Days from 1970 to the first of March of a year, counting years from March to February so that
/// the leap day is the last one of a year.
fn days_until(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before = year * 365 + year / 4 - year / 100 + year / 400;
    // The first of March in the year 0 is 719,468 days before 1970.
    before + (month * 153 + 2) / 5 + day - 1 - 719_468
}

fn date_of(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    // Of the 400 years after which the calendar repeats.
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (year * 365 + year / 4 - year / 100);
    let month = (day * 5 + 2) / 153;
    let day_of_month = day - (month * 153 + 2) / 5 + 1;
    let year = era * 400 + year;
    if month < 10 {
        (year, month + 3, day_of_month)
    } else {
        (year + 1, month - 9, day_of_month)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_moments_are_written_as_they_are_known() {
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (951_782_400, "20000229T000000Z"),
            (1_440_938_160, "20150830T123600Z"),
            (4_107_542_399, "21000228T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(Moment(seconds).compact(), text);
        }
        assert_eq!(Moment::parse("2015-08-30T12:36:00Z"), Some(Moment(1_440_938_160)));
        assert_eq!(Moment::parse("2015-08-30T12:36:00.123Z"), Some(Moment(1_440_938_160)));
        for nonsense in ["", "soon", "2015-08-30T12:36:00", "2015-13-30T12:36:00Z", "2015-08-3éT12:36:00Z"] {
            assert_eq!(Moment::parse(nonsense), None, "{nonsense}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in 0u64..8_000_000_000) {
            let text = Moment(seconds).compact();
            let long = format!(
                "{}-{}-{}T{}:{}:{}Z",
                &text[..4], &text[4..6], &text[6..8], &text[9..11], &text[11..13], &text[13..15]
            );
            prop_assert_eq!(Moment::parse(&long), Some(Moment(seconds)));
        }
    }
}
