//! Waiting for something that nobody announces. The one place in our tests that sleeps.

use std::time::{Duration, Instant};

/// How long to pause between two looks: short against what is waited for, long against the look itself.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks again and again until `look` gives something, for at most `within`.
///
/// Prefer an event where there is one: a line of output, a channel, a future. What is waited for is named in
/// `what`, for the message.
///
/// # Errors
/// When the time is over. The deadline is a bound for broken code, so make it generous: it costs nothing
/// when the code works.
pub fn eventually<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    #[expect(clippy::disallowed_methods, reason = "a deadline of a test is real time")]
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        anyhow::ensure!(started.elapsed() < within, "waited {within:?} in vain for {what}");
        // expect(sleep): the outside world (another process, a file) sends us no event that we could await.
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_until_there_is_something() {
        let mut looks = 0;
        let found = eventually("the third look", Duration::from_secs(60), || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(found.unwrap(), 3);
    }

    #[test]
    fn it_gives_up_and_says_for_what_it_waited() {
        let error = eventually("rain", Duration::ZERO, || None::<()>).unwrap_err();
        assert_eq!(error.to_string(), "waited 0ns in vain for rain");
    }
}
