//! Verified tokens, remembered so that a signature is checked once: a fixed table without locks.

use std::fmt;
use std::sync::Arc;

use aegis_model::caps;
use aegis_model::clock::UnixNanos;
use aegis_model::principal::Principal;
use arc_swap::ArcSwapOption;
use sha2::{Digest, Sha256};

use crate::claims::Window;
use crate::refusal::TokenRefusal;
use crate::trust::Trust;

/// Slots in which one token may lie: enough that tokens rarely push each other out, few enough to look at all.
const WAYS: usize = 4;

/// What was verified, for all threads of a node, across every swap of its snapshot.
///
/// - Holds at most as many tokens as it has slots; it never grows and nothing has to clean it.
/// - A token lies in one of a few slots, chosen by its hash. A new token takes a free one, else that of the token
///   that expires first: whoever loses its slot is verified again, nothing more.
/// - Holds successes only, so refused tokens cost no memory.
pub struct TokenCache {
    slots: Box<[ArcSwapOption<Verified>]>,
}

/// A token that was verified under one trust, and when it counts.
#[derive(Debug)]
struct Verified {
    key: CacheKey,
    window: Window,
    principal: Arc<Principal>,
}

/// SHA-256 over the trust's fingerprint and the token's text. Under another trust the same token has another key,
/// so that nothing outlives the keys that proved it. The text itself is not kept.
///
/// Agent tokens only: a second kind needs a mark of its own in the hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CacheKey([u8; 32]);

impl CacheKey {
    pub(crate) fn of(trust: &Trust, token: &str) -> Self {
        let hash = Sha256::new().chain_update(trust.fingerprint()).chain_update(token.as_bytes());
        Self(hash.finalize().into())
    }
}

impl TokenCache {
    /// A cache for [`caps::TOKEN_CACHE_ENTRIES_MAX`] tokens; empty it takes 8 bytes for each.
    pub fn new() -> Self {
        Self::with_entries(caps::TOKEN_CACHE_ENTRIES_MAX)
    }

    /// A cache for at most `entries` tokens, rounded up to whole sets and at most
    /// [`caps::TOKEN_CACHE_ENTRIES_MAX`].
    pub fn with_entries(entries: usize) -> Self {
        let entries = entries.clamp(WAYS, caps::TOKEN_CACHE_ENTRIES_MAX).next_multiple_of(WAYS);
        Self { slots: (0..entries).map(|_| ArcSwapOption::empty()).collect() }
    }

    /// How many tokens it holds, expired ones included. Looks at every slot: for metrics, not for calls.
    pub fn occupied(&self) -> usize {
        self.slots.iter().filter(|slot| slot.load().is_some()).count()
    }

    /// What was verified under `key`, if it still counts at `now`; nothing if the token is not known.
    pub(crate) fn get(&self, key: &CacheKey, now: UnixNanos) -> Option<Result<Arc<Principal>, TokenRefusal>> {
        self.set(key).iter().find_map(|slot| {
            let slot = slot.load();
            let entry = slot.as_ref().filter(|entry| entry.key == *key)?;
            Some(entry.window.check(now).map(|()| Arc::clone(&entry.principal)))
        })
    }

    /// Remembers a token. Two threads may take the same slot; the later one keeps it.
    pub(crate) fn put(&self, key: CacheKey, window: Window, principal: Arc<Principal>) {
        let expiry = |slot: &&ArcSwapOption<Verified>| match slot.load().as_ref() {
            Some(entry) if entry.key != key => entry.window.until().0,
            Some(_) | None => 0,
        };
        if let Some(slot) = self.set(&key).iter().min_by_key(expiry) {
            slot.store(Some(Arc::new(Verified { key, window, principal })));
        }
    }

    fn set(&self, key: &CacheKey) -> &[ArcSwapOption<Verified>] {
        let [a, b, c, d, ..] = key.0;
        let sets = self.slots.len() / WAYS;
        let first = u32::from_be_bytes([a, b, c, d]) as usize % sets * WAYS;
        &self.slots[first..first + WAYS]
    }
}

impl Default for TokenCache {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenCache({} slots)", self.slots.len())
    }
}
