//! Maps a slice on every core. For the work of loading a set, never for judging.

use std::num::NonZero;
use std::thread;

/// Fewer items than this per thread are not worth a thread.
const ITEMS_PER_THREAD_MIN: usize = 64;

/// `items.iter().map(map)`, in the same order, with the slice cut into one part per core.
pub(crate) fn map<T: Sync, U: Send>(items: &[T], map: impl Fn(&T) -> U + Sync) -> Vec<U> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let part = items.len().div_ceil(cores).max(ITEMS_PER_THREAD_MIN);
    let map = &map;
    thread::scope(|scope| {
        let workers: Vec<_> = items
            .chunks(part)
            .map(|part| scope.spawn(move || part.iter().map(map).collect::<Vec<U>>()))
            .collect();
        let join = |worker: thread::ScopedJoinHandle<'_, Vec<U>>| match worker.join() {
            Ok(part) => part,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        workers.into_iter().flat_map(join).collect()
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_order_is_kept() {
        let items: Vec<usize> = (0..1_000).collect();
        assert_eq!(super::map(&items, |item| item * 2), (0..1_000).map(|item| item * 2).collect::<Vec<_>>());
    }
}
