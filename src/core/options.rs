//! The options that every connector has, whatever its backend.

use std::time::Duration;

use super::request::LogLevel;

/// How the engine behaves. All durations are options in milliseconds.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// `timeout`: an operation's deadline, from its submission, queue and connect time included.
    pub timeout: Duration,
    /// `connectTimeout`: how long one attempt to connect may take.
    pub connect_timeout: Duration,
    /// `closeTimeout`: how long `close` lets accepted work finish.
    pub close_timeout: Duration,
    /// `reconnectDelay`: the first pause between attempts to connect; it doubles up to …
    pub reconnect_delay: Duration,
    /// `reconnectMaxDelay`: … this one. Each pause is shortened by a random part of up to half.
    pub reconnect_max_delay: Duration,
    /// `maxInFlight`: how many operations may be accepted whose callback was not called yet.
    pub max_in_flight: usize,
    /// `maxBytesInFlight`: how many bytes these may take, with keys, data and answers.
    pub max_bytes_in_flight: usize,
    /// `logLevel`: lines below it are not logged.
    pub log_level: LogLevel,
    /// `reactorThread`: whether a thread of the connector's own does the I/O even where the
    /// host could; `None` leaves it to the backend.
    pub reactor_thread: Option<bool>,
    /// What is to be said of the options when the connection stands for the first time.
    pub remarks: Vec<String>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        EngineOptions {
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            close_timeout: Duration::from_secs(10),
            reconnect_delay: Duration::from_millis(50),
            reconnect_max_delay: Duration::from_secs(2),
            max_in_flight: 1_000_000,
            max_bytes_in_flight: 256 << 20,
            log_level: LogLevel::Info,
            reactor_thread: None,
            remarks: Vec::new(),
        }
    }
}
