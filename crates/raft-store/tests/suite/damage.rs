//! A flipped bit or a cut file is noticed, or it was in a place that nothing reads; never is anything else served.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::crash::Sample;

/// Flips tried per file, for a node that was closed and for one that lost power.
const FLIPS: usize = 150;
const CUTS: usize = 15;
const HEADER_BYTES: usize = 320;
const PAGE_BYTES: usize = 4_096;

#[derive(Debug, Clone, Copy, PartialEq)]
enum File {
    Log,
    State,
}

#[tokio::test]
async fn a_flipped_bit_is_never_served() {
    for (seed, closed) in [(1, true), (2, false)] {
        let sample = Sample::make(seed, 60, closed).await;
        let mut random = StdRng::seed_from_u64(seed);
        for file in [File::Log, File::State] {
            let mut noticed = 0;
            for _ in 0..FLIPS {
                let mut files = (sample.log.clone(), sample.state.clone());
                let bytes = if file == File::Log { &mut files.0 } else { &mut files.1 };
                let (place, bit) = (used_place(&mut random, bytes), random.random_range(0..8));
                bytes[place] ^= 1 << bit;
                let what = format!("closed {closed}: bit {bit} of byte {place} of the {file:?}");
                noticed += usize::from(sample.notices(files.0, files.1, &what).await);
            }
            assert!(
                noticed > FLIPS / 10,
                "closed {closed}: only {noticed} flips of the {file:?} were noticed"
            );
        }
    }
}

#[tokio::test]
async fn a_cut_file_is_never_served() {
    for (seed, closed) in [(3, true), (4, false)] {
        let sample = Sample::make(seed, 60, closed).await;
        let mut random = StdRng::seed_from_u64(seed);
        for file in [File::Log, File::State] {
            for _ in 0..CUTS {
                let mut files = (sample.log.clone(), sample.state.clone());
                let bytes = if file == File::Log { &mut files.0 } else { &mut files.1 };
                let length = random.random_range(0..bytes.len());
                bytes.truncate(length);
                let what = format!("closed {closed}: the {file:?} cut to {length}");
                sample.notices(files.0, files.1, &what).await;
            }
        }
    }
}

/// A byte of the header, where redb says which commit counts, or of a page that is not empty.
fn used_place(random: &mut StdRng, bytes: &[u8]) -> usize {
    if random.random_bool(0.3) {
        return random.random_range(0..HEADER_BYTES);
    }
    loop {
        let place = random.random_range(0..bytes.len());
        let page = place / PAGE_BYTES * PAGE_BYTES;
        if bytes[page..bytes.len().min(page + PAGE_BYTES)].iter().any(|byte| *byte != 0) {
            return place;
        }
    }
}
