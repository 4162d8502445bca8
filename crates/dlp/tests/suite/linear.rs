//! Time grows with the text, not faster: on texts made to make a scanner slow.

use crate::support::LENIENT;

/// Nanoseconds that this thread has computed. Other work on the machine does not count.
fn computed() -> Option<u64> {
    // The system brings the number up to date when it is asked for another thread, and else only at its ticks.
    std::thread::yield_now();
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}

/// Nanoseconds that a text takes: the least of three tries.
fn time(text: &str) -> Option<u64> {
    let once = |_| {
        let begun = computed()?;
        std::hint::black_box(LENIENT.scan(text.as_bytes()));
        Some(computed()? - begun)
    };
    (0..3).map(once).collect::<Option<Vec<_>>>()?.into_iter().min()
}

#[test]
fn eight_times_the_text_takes_no_more_than_eight_times_the_time() {
    for unit in [
        "1",
        "1 ",
        "1.",
        "1-",
        "4111-",
        "a@",
        "@",
        "a:",
        "::",
        "password=",
        "token: ",
        "AKIA",
        "eyJ",
        "eyJ.",
        "-----BEGIN ",
        "%25",
        "\\u0031",
        "TVRFeE1URXhNVEV4",
        "a",
        "１",
        "ssn ",
        "a://b:c",
        "((((",
        "+1",
        "AB12",
        "\\",
        "%",
        "\u{1F}\u{8B}",
    ] {
        let text = unit.repeat((256 << 10) / unit.len());
        let (small, large) = (&text[..text.floor_char_boundary(32 << 10)], &text);
        // Where the system does not tell, nothing is tested.
        let (Some(short), Some(long)) = (time(small), time(large)) else { return };
        // Quadratic would be 64 times.
        assert!(long < short * 20 + 2_000_000, "`{unit}`: {short} ns, then {long} ns");
    }
}
