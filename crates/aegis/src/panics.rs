//! What a panic shows: where it happened, never its message, which could quote a call or a secret (AUD-2).

use std::io::Write;
use std::panic::PanicHookInfo;

/// Replaces the standard hook, for every thread of the process.
pub(crate) fn hide_payloads() {
    std::panic::set_hook(Box::new(|panic| {
        // Nobody is left to be told that standard error is gone.
        let _ = std::io::stderr().write_all(line(panic).as_bytes());
    }));
}

fn line(panic: &PanicHookInfo<'_>) -> String {
    let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    format!(
        "internal error: thread `{thread}` panicked at {place}; this is a bug in Aegis, please report the place\n"
    )
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    #[test]
    fn a_panic_shows_its_place_and_not_its_message() {
        let shown = Arc::new(Mutex::new(String::new()));
        let (before, seen) = (std::panic::take_hook(), Arc::clone(&shown));
        std::panic::set_hook(Box::new(move |panic| {
            seen.lock().expect("no other panic").push_str(&super::line(panic));
        }));
        let ended = std::thread::spawn(|| panic!("the number 078-05-1120")).join();
        std::panic::set_hook(before);
        assert!(ended.is_err());
        let shown = shown.lock().expect("the hook does not panic").clone();
        assert!(shown.contains("panics.rs") && !shown.contains("078-05"), "{shown}");
    }
}
