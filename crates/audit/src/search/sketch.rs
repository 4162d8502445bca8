//! What is known of sealed segments that were read: between which moments their records lie.

use std::collections::HashMap;

use aegis_model::caps;
use aegis_model::clock::UnixNanos;

use super::{Filter, moment};
use crate::hash::Hash;
use crate::record::Chain;

/// The moments in sealed segments, as far as they were read; in memory only, and found out again where it is not known. It may
/// be asked for several shelves of one node, and for no other node.
#[derive(Debug, Default)]
pub struct Sketches {
    known: HashMap<(Hash, u64, u64), (UnixNanos, UnixNanos)>,
}

impl Sketches {
    /// Whether a segment may hold what `filter` wants: yes, unless it is known to lie elsewhere in time.
    pub(super) fn may_hold(&self, chain: &Chain, life: u64, segment: u64, filter: &Filter) -> bool {
        let Some((first, last)) = self.known.get(&(name(chain), life, segment)) else { return true };
        let early = filter.from.is_some_and(|from| *last < from);
        let late = filter.to.is_some_and(|to| *first >= to);
        !(early || late)
    }

    /// Remembers a segment that was read. Its records need not lie in the order of time: a clock may have been set back.
    pub(super) fn note(&mut self, chain: &Chain, life: u64, segment: u64, records: &[(u64, &[u8])]) {
        let mut moments = records.iter().map(|(_, record)| moment(record));
        let span = moments.try_fold(None, |span: Option<(UnixNanos, UnixNanos)>, at| {
            let at = at?;
            Some(Some(span.map_or((at, at), |(first, last)| (first.min(at), last.max(at)))))
        });
        let Some(span) = span else { return };
        // Without records, as at the end of a log, it holds nothing at any time.
        let span = span.unwrap_or((UnixNanos(u64::MAX), UnixNanos(0)));
        if self.known.len() < caps::SEARCH_SKETCHES_MAX {
            self.known.insert((name(chain), life, segment), span);
        }
    }
}

fn name(chain: &Chain) -> Hash {
    Hash::of(chain.to_string().as_bytes())
}
