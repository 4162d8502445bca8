//! The data nodes that attend this control node, and the questions that each of them is at.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aegis_proto::v1;
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

/// Why the logs of a data node were not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It does not attend this control node.
    NotConnected,
    /// It did not answer in time.
    Late,
    /// It has too many questions.
    Busy,
    /// It cannot read its logs.
    Unreadable,
    /// It does not serve the tenant.
    NotServed,
    /// What it answered is no answer to what was asked.
    Malformed,
    /// It was missing on an earlier page.
    Earlier,
    /// It is gone, and nobody who attends can look for copies of its logs.
    NoStore,
}

impl Missing {
    /// The stable code.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NotConnected => "not_connected",
            Self::Late => "late",
            Self::Busy => "busy",
            Self::Unreadable => "unreadable",
            Self::NotServed => "not_served",
            Self::Malformed => "malformed",
            Self::Earlier => "earlier",
            Self::NoStore => "no_store",
        }
    }

    /// What a data node calls it.
    fn of(refused: &str) -> Self {
        match refused {
            "busy" => Self::Busy,
            "unreadable" => Self::Unreadable,
            "not_served" => Self::NotServed,
            "no_store" => Self::NoStore,
            _ => Self::Malformed,
        }
    }
}

/// Who attends, by id.
#[derive(Debug, Default)]
pub(super) struct Attending {
    nodes: Mutex<BTreeMap<u64, Arc<Way>>>,
}

impl Attending {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Way>>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn way(&self, node: u64) -> Option<Arc<Way>> {
        self.lock().get(&node).cloned()
    }

    /// From now on the data node is asked this way, unless a newer life of it attends.
    pub(super) fn add(&self, node: u64, way: &Arc<Way>) {
        let mut nodes = self.lock();
        let newer = nodes.get(&node).is_some_and(|known| known.incarnation > way.incarnation);
        if !newer {
            nodes.insert(node, Arc::clone(way));
        }
    }

    /// This way leads nowhere any more.
    pub(super) fn remove(&self, node: u64, way: &Arc<Way>) {
        let mut nodes = self.lock();
        if nodes.get(&node).is_some_and(|known| Arc::ptr_eq(known, way)) {
            nodes.remove(&node);
        }
    }
}

/// The way to a data node.
#[derive(Debug)]
pub(super) struct Way {
    incarnation: u64,
    down: mpsc::Sender<Result<v1::AttendResponse, Status>>,
    next: AtomicU64,
    /// Who waits for which answer; nothing once it leads nowhere.
    waiting: Mutex<Option<HashMap<u64, oneshot::Sender<v1::SearchAnswer>>>>,
}

impl Way {
    pub(super) fn new(incarnation: u64, down: mpsc::Sender<Result<v1::AttendResponse, Status>>) -> Self {
        Self { incarnation, down, next: AtomicU64::new(1), waiting: Mutex::new(Some(HashMap::new())) }
    }

    fn lock(&self) -> MutexGuard<'_, Option<HashMap<u64, oneshot::Sender<v1::SearchAnswer>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn ask(
        &self,
        question: v1::SearchQuestion,
        within: Duration,
    ) -> Result<v1::SearchAnswer, Missing> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.lock().as_mut().ok_or(Missing::NotConnected)?.insert(number, answer);
        // However this ends, nobody waits afterwards.
        let _waits = Waits { way: self, number };
        let question = v1::SearchQuestion { number, ..question };
        let asked = self.down.try_send(Ok(v1::AttendResponse { question: Some(question) }));
        asked.map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Missing::Busy,
            mpsc::error::TrySendError::Closed(_) => Missing::NotConnected,
        })?;
        let answer = tokio::time::timeout(within, answered).await.map_err(|_late| Missing::Late)?;
        let answer = answer.map_err(|_gone| Missing::NotConnected)?;
        match answer.refused.as_str() {
            "" => Ok(answer),
            refused => Err(Missing::of(refused)),
        }
    }

    /// Takes an answer, if anybody still waits for it.
    pub(super) fn take(&self, answer: v1::SearchAnswer) {
        let waiting = self.lock().as_mut().and_then(|waiting| waiting.remove(&answer.number));
        waiting.into_iter().for_each(|waiting| drop(waiting.send(answer.clone())));
    }

    /// Waits until the data node takes nothing any more.
    pub(super) async fn gone(&self) {
        self.down.closed().await;
    }

    /// It leads nowhere any more: whoever waits is told.
    pub(super) fn close(&self) {
        self.lock().take();
    }
}

struct Waits<'w> {
    way: &'w Way,
    number: u64,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.way.lock().as_mut().and_then(|waiting| waiting.remove(&self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(incarnation: u64) -> (Arc<Way>, mpsc::Receiver<Result<v1::AttendResponse, Status>>) {
        let (down, responses) = mpsc::channel(1);
        (Arc::new(Way::new(incarnation, down)), responses)
    }

    #[tokio::test]
    async fn a_question_gets_its_own_answer_or_a_reason() {
        let (way, mut asked) = way(1);
        let within = Duration::from_secs(60);
        let answered = way.ask(v1::SearchQuestion::default(), within);
        let node = async {
            let question = asked.recv().await.unwrap().unwrap().question.unwrap();
            way.take(v1::SearchAnswer { number: question.number + 7, ..Default::default() });
            way.take(v1::SearchAnswer { number: question.number, reached_ns: 5, ..Default::default() });
        };
        let (answer, ()) = tokio::join!(answered, node);
        assert_eq!(answer.unwrap().reached_ns, 5);
        for (refused, missing) in [("busy", Missing::Busy), ("what?", Missing::Malformed)] {
            let node = async {
                let number = asked.recv().await.unwrap().unwrap().question.unwrap().number;
                way.take(v1::SearchAnswer { number, refused: refused.to_owned(), ..Default::default() });
            };
            let (answer, ()) = tokio::join!(way.ask(v1::SearchQuestion::default(), within), node);
            assert_eq!(answer, Err(missing));
        }
        let late = way.ask(v1::SearchQuestion::default(), Duration::from_millis(1)).await;
        assert_eq!(late, Err(Missing::Late));
        // What it was asked lies there still.
        assert_eq!(way.ask(v1::SearchQuestion::default(), within).await, Err(Missing::Busy));
        assert!(way.lock().as_ref().unwrap().is_empty(), "nobody waits");
        asked.recv().await.unwrap().unwrap();
        let closing = async {
            asked.recv().await.unwrap().unwrap();
            way.close();
        };
        let (answer, ()) = tokio::join!(way.ask(v1::SearchQuestion::default(), within), closing);
        assert_eq!(answer, Err(Missing::NotConnected));
        assert_eq!(way.ask(v1::SearchQuestion::default(), within).await, Err(Missing::NotConnected));
    }

    #[test]
    fn the_newest_life_is_asked_and_an_end_takes_away_its_own_way_only() {
        let attending = Attending::default();
        let ((old, _a), (new, _b)) = (way(3), way(4));
        attending.add(7, &new);
        attending.add(7, &old);
        assert!(Arc::ptr_eq(&attending.way(7).unwrap(), &new), "an older life comes late");
        attending.remove(7, &old);
        assert!(attending.way(7).is_some());
        attending.remove(7, &new);
        assert!(attending.way(7).is_none());
    }
}
