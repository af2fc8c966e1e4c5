//! Numbers that nobody else has.

use ring::rand::{SecureRandom, SystemRandom};

use crate::config::wrong;
use crate::core::Error;

/// Another number each time, in every process and on every machine.
pub(super) fn noise() -> Result<u64, Error> {
    let mut noise = [0; 8];
    let filled = SystemRandom::new().fill(&mut noise);
    filled.map_err(|_| wrong("this system gives no random numbers, which telling sessions apart takes"))?;
    Ok(u64::from_ne_bytes(noise))
}
