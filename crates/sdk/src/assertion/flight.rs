//! One token for many calls: who fetches the next one, and who goes on meanwhile.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aegis_model::secret::Secret;
use tokio::time::Instant;

use super::NoAgentToken;

/// A token that was got.
pub(super) struct Fetched {
    pub(super) token: Secret<String>,
    pub(super) life: Duration,
}

/// The token that there is, and the right to get the next one.
#[derive(Default)]
pub(super) struct Flight {
    kept: Mutex<Option<Kept>>,
    /// Held by the one call that fetches.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Kept {
    token: Secret<String>,
    /// From when on a new one is fetched.
    renew_at: Instant,
    /// From when on it is not used any more: a little before it ends, so that it arrives in time.
    ends_at: Instant,
}

/// What a call does about the token.
enum State {
    Fresh(Secret<String>),
    Due(Secret<String>),
    None,
}

/// Before its end by so much a token is used no more: a call takes its time.
const BEFORE_END: Duration = Duration::from_secs(5);

/// Pause after a renewal that failed, while the token that there is still counts.
const PAUSE: Duration = Duration::from_secs(1);

impl Flight {
    /// The token to use now. `fetch` is run by one call at a time.
    pub(super) async fn token<F, R>(&self, fetch: F) -> Result<Secret<String>, NoAgentToken>
    where
        F: FnOnce() -> R,
        R: Future<Output = Result<Fetched, NoAgentToken>>,
    {
        let known = match self.state() {
            State::Fresh(token) => return Ok(token),
            State::Due(token) => Some(token),
            State::None => None,
        };
        let Some(known) = known else {
            let _turn = self.turn.lock().await;
            // Whoever had the turn before may have got one.
            return match self.state() {
                State::Fresh(token) | State::Due(token) => Ok(token),
                State::None => fetch().await.map(|fetched| self.keep(fetched)),
            };
        };
        let Ok(_turn) = self.turn.try_lock() else { return Ok(known) };
        if let State::Fresh(token) = self.state() {
            return Ok(token);
        }
        match fetch().await {
            Ok(fetched) => Ok(self.keep(fetched)),
            Err(_still_good) => {
                self.put_off();
                Ok(known)
            }
        }
    }

    fn state(&self) -> State {
        let now = Instant::now();
        match &*self.kept.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(kept) if now < kept.renew_at => State::Fresh(kept.token.clone()),
            Some(kept) if now < kept.ends_at => State::Due(kept.token.clone()),
            Some(_) | None => State::None,
        }
    }

    fn keep(&self, fetched: Fetched) -> Secret<String> {
        let now = Instant::now();
        let Fetched { token, life } = fetched;
        let margin = BEFORE_END.min(life / 4);
        let kept = Kept { token: token.clone(), renew_at: now + life * 2 / 3, ends_at: now + life - margin };
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        token
    }

    fn put_off(&self) {
        if let Some(kept) = &mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner) {
            kept.renew_at = Instant::now() + PAUSE;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::future::join_all;

    use super::*;

    /// Gives `t-1`, `t-2`, … of a minute each, every one after 100 ms; fails while told to.
    #[derive(Default)]
    struct Source {
        fetched: AtomicU32,
        failing: std::sync::atomic::AtomicBool,
    }

    impl Source {
        async fn fetch(&self) -> Result<Fetched, NoAgentToken> {
            let number = self.fetched.fetch_add(1, Ordering::SeqCst) + 1;
            tokio::time::sleep(Duration::from_millis(100)).await; // expect(sleep): the clock stands still and is moved by tokio
            if self.failing.load(Ordering::SeqCst) {
                return Err(NoAgentToken::Unavailable("told to".to_owned()));
            }
            Ok(Fetched { token: Secret::new(format!("t-{number}")), life: Duration::from_secs(60) })
        }
    }

    async fn ask(flight: &Flight, source: &Source) -> String {
        flight.token(|| source.fetch()).await.map_or_else(|error| error.to_string(), |it| it.expose().clone())
    }

    #[tokio::test(start_paused = true)]
    async fn many_calls_get_one_token() {
        let (flight, source) = (Arc::new(Flight::default()), Source::default());
        let tokens = join_all((0..100).map(|_| ask(&flight, &source))).await;
        assert!(tokens.iter().all(|token| token == "t-1"), "{tokens:?}");
        assert_eq!(source.fetched.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn one_call_renews_ahead_of_the_end_while_the_others_go_on() {
        let (flight, source) = (Arc::new(Flight::default()), Source::default());
        ask(&flight, &source).await;
        tokio::time::advance(Duration::from_secs(39)).await;
        assert_eq!(ask(&flight, &source).await, "t-1");
        tokio::time::advance(Duration::from_secs(2)).await;
        let mut tokens = join_all((0..100).map(|_| ask(&flight, &source))).await;
        tokens.sort();
        assert_eq!((tokens[98].as_str(), tokens[99].as_str()), ("t-1", "t-2"));
        assert_eq!(ask(&flight, &source).await, "t-2");
        assert_eq!(source.fetched.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_used_to_its_end_where_no_other_comes_and_no_longer() {
        let (flight, source) = (Arc::new(Flight::default()), Source::default());
        ask(&flight, &source).await;
        source.failing.store(true, Ordering::SeqCst);
        tokio::time::advance(Duration::from_secs(45)).await;
        assert_eq!(ask(&flight, &source).await, "t-1");
        assert_eq!(ask(&flight, &source).await, "t-1");
        assert_eq!(source.fetched.load(Ordering::SeqCst), 2, "not with every call");
        tokio::time::advance(Duration::from_secs(11)).await;
        assert!(ask(&flight, &source).await.contains("told to"));
        source.failing.store(false, Ordering::SeqCst);
        assert_eq!(ask(&flight, &source).await, "t-4");
    }
}
