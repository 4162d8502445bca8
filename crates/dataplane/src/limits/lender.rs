//! The one task of a node that lends from the leader: it carries what the borrower decides, and keeps time.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aegis_model::caps;
use aegis_proto::v1;
use aegis_proto::v1::lend_request::Message as Up;
use aegis_proto::v1::lend_response::Message as Down;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::DropGuard;

use super::book::{Book, Identity, Wish};
use super::borrower::{Borrower, TICK};
use super::journal::{Boot, Journal, JournalError, Recovered};
use super::link::{LinkConfig, link};

/// What a link to the leaders brings, in order: streams that begin, speak and end.
#[derive(Debug)]
pub(super) enum Heard {
    /// The leader took this node on.
    Welcomed(Line),
    /// It says something.
    Said(v1::LendResponse),
    /// The stream ended; another one is looked for.
    Lost,
    /// No leader lends to this process any more.
    Over,
}

/// The way up of a stream.
#[derive(Debug)]
pub(super) struct Line {
    /// How many data nodes live.
    pub(super) nodes: u32,
    pub(super) up: mpsc::Sender<v1::LendRequest>,
    /// Dropped, it ends the stream.
    pub(super) _stream: DropGuard,
}

/// How lending ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The node stops, and has returned everything, or could not.
    Stopping,
    /// This process was replaced, or everything that was lent is void: the node has to end.
    Over,
}

/// What lends to a node, before it runs.
#[derive(Debug)]
pub(crate) struct Lending {
    link: LinkConfig,
    keeping: Keeping,
}

impl Lending {
    /// Over `link`; leases are kept in the file `leases`. Opens nothing yet.
    pub(crate) fn new(link: LinkConfig, leases: PathBuf) -> Self {
        Self { link, keeping: Keeping { path: leases, boot: Boot::read() } }
    }

    /// Lends for `book` once it is known who borrows, until the node ends.
    pub(crate) async fn run(self, book: Arc<Book>) -> Ended {
        let identity = book.identity().await;
        let (told, heard) = mpsc::channel(HEARD);
        tokio::select! {
            ended = lend(book, identity.clone(), self.keeping, heard) => ended,
            // It ends after it has said that all is over, which is heard before.
            () = async { link(self.link, identity, told).await; std::future::pending().await } => Ended::Over,
        }
    }
}

/// Messages of the leader that wait to be heard. More: the stream waits.
const HEARD: usize = 16;

/// Where leases are kept.
#[derive(Debug, Clone)]
pub(super) struct Keeping {
    pub(super) path: PathBuf,
    pub(super) boot: Option<Boot>,
}

/// Between two attempts at a journal that cannot be opened.
const REOPEN: Duration = Duration::from_secs(5);

const SILENCE: Duration = Duration::from_millis(caps::LEND_SILENCE_MS);

/// Lends for `book` over what `heard` brings, until the node ends.
pub(super) async fn lend(
    book: Arc<Book>,
    identity: Identity,
    keeping: Keeping,
    mut heard: mpsc::Receiver<Heard>,
) -> Ended {
    let mut wishes = book.wishes();
    let mut lender = Lender::new(Arc::clone(&book), identity, keeping);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    lender.open_journal();
    loop {
        let mut ticked = false;
        tokio::select! {
            heard = heard.recv() => match heard {
                Some(Heard::Over) | None => {
                    lender.borrower.over(Instant::now());
                    return Ended::Over;
                }
                Some(heard) => lender.hear(heard),
            },
            () = book.desk.bell.notified() => {}
            changed = wishes.changed() => if changed.is_err() { return Ended::Stopping },
            opened = journal(&mut lender.opening) => lender.opened(opened),
            grown = finished(&mut lender.growing) => lender.grown(grown),
            _ = ticks.tick() => ticked = true,
        }
        let wish = *wishes.borrow_and_update();
        lender.go_on(wish, ticked);
        if wish >= Wish::Return && lender.borrower.owes_nothing() {
            return Ended::Stopping;
        }
    }
}

type Opened = Result<(Journal, Vec<Recovered>), JournalError>;

struct Lender {
    book: Arc<Book>,
    identity: Identity,
    borrower: Borrower,
    keeping: Keeping,
    journal: Option<Arc<Journal>>,
    opening: Option<JoinHandle<Opened>>,
    growing: Option<JoinHandle<std::io::Result<()>>>,
    reopen: Option<Instant>,
    line: Option<Line>,
    /// Whether this stream was told that the node leaves.
    leave_told: bool,
    /// Since when the leader owes an answer to an ask, and to a tick.
    ask_sent: Option<Instant>,
    tick_sent: Option<Instant>,
}

/// The end of a task that runs; never if none does.
async fn finished<T>(task: &mut Option<JoinHandle<T>>) -> Option<T> {
    match task {
        Some(running) => {
            let ended = running.await.ok();
            *task = None;
            ended
        }
        None => std::future::pending().await,
    }
}

async fn journal(opening: &mut Option<JoinHandle<Opened>>) -> Option<Opened> {
    finished(opening).await
}

impl Lender {
    fn new(book: Arc<Book>, identity: Identity, keeping: Keeping) -> Self {
        let borrower = Borrower::new(Arc::clone(&book), identity.clone(), Instant::now());
        Self {
            book,
            identity,
            borrower,
            keeping,
            journal: None,
            opening: None,
            growing: None,
            reopen: None,
            line: None,
            leave_told: false,
            ask_sent: None,
            tick_sent: None,
        }
    }

    fn open_journal(&mut self) {
        self.reopen = None;
        let (Keeping { path, boot }, owner) = (self.keeping.clone(), self.identity.clone());
        self.opening = Some(tokio::task::spawn_blocking(move || Journal::open(&path, &owner, boot)));
    }

    fn opened(&mut self, opened: Option<Opened>) {
        match opened {
            Some(Ok((journal, recovered))) => {
                let journal = Arc::new(journal);
                self.journal = Some(Arc::clone(&journal));
                self.borrower.keep_in(journal, recovered);
            }
            failed => {
                if let Some(Err(error)) = failed {
                    tracing::error!(%error, "budgets cannot be spent from: their leases could not be kept");
                }
                self.book.desk.cannot_keep();
                self.reopen = Some(Instant::now() + REOPEN);
            }
        }
    }

    fn grown(&mut self, grown: Option<std::io::Result<()>>) {
        if let Some(Err(error)) = grown {
            tracing::error!(%error, "the journal of leases cannot grow; budgets that need more leases will be refused");
            self.reopen = Some(Instant::now() + REOPEN);
        }
    }

    fn hear(&mut self, heard: Heard) {
        let now = Instant::now();
        match heard {
            Heard::Welcomed(line) => {
                self.book.desk.reached(line.nodes);
                self.borrower.rates.begin(now);
                (self.ask_sent, self.tick_sent) = (None, None);
                self.leave_told = false;
                self.line = Some(line);
                if let Some(ask) = self.borrower.unanswered() {
                    self.send_ask(ask, now);
                }
            }
            Heard::Said(response) => match response.message {
                Some(Down::Answer(answer)) => {
                    self.borrower.hear(answer, now);
                    self.ask_sent = self.ask_sent.filter(|_| self.borrower.unanswered().is_some());
                }
                Some(Down::Shares(shares)) => {
                    self.borrower.rates.hear(&shares, now);
                    self.tick_sent = self.borrower.rates.awaits().then_some(now);
                }
                Some(Down::Recall(recall)) => self.borrower.recall(&recall.ledgers, now),
                // Welcomes and farewells are the link's matter. What is unknown asks for nothing that this version has.
                Some(Down::Welcome(_) | Down::Farewell(_)) | None => {}
            },
            Heard::Lost | Heard::Over => self.hang_up(),
        }
    }

    /// Does what is due, and says what is to be said.
    fn go_on(&mut self, wish: Wish, ticked: bool) {
        let now = Instant::now();
        self.borrower.look(now);
        if ticked {
            self.borrower.tick(now);
            self.keep_room(now);
        }
        if wish >= Wish::Return {
            self.borrower.give_all_back(now);
        }
        if [self.ask_sent, self.tick_sent].into_iter().flatten().any(|sent| now > sent + SILENCE) {
            tracing::warn!("the leader left an ask unanswered; looking for another one");
            self.hang_up();
        }
        if self.line.is_none() {
            return;
        }
        if wish >= Wish::Leave && !std::mem::replace(&mut self.leave_told, true) {
            self.send(Up::Leaving(v1::LendLeaving {}));
        }
        if let Some(ask) = self.borrower.ask(ticked || wish >= Wish::Return) {
            self.send_ask(ask, now);
        }
        while self.line.is_some()
            && let Some(tick) = self.borrower.rates.next_tick(now)
        {
            self.send(Up::Rates(tick));
            self.tick_sent.get_or_insert(now);
        }
    }

    /// Makes room in the journal before it is needed, and opens it anew if it could not be opened.
    fn keep_room(&mut self, now: Instant) {
        if self.reopen.is_some_and(|at| now < at) {
            return;
        }
        match &self.journal {
            None if self.opening.is_none() => self.open_journal(),
            Some(journal) if self.growing.is_none() && journal.wants_to_grow() => {
                let journal = Arc::clone(journal);
                self.growing = Some(tokio::task::spawn_blocking(move || journal.grow()));
            }
            None | Some(_) => {}
        }
    }

    fn send_ask(&mut self, ask: v1::LendAsk, now: Instant) {
        self.ask_sent = Some(now);
        self.send(Up::Ask(ask));
    }

    fn send(&mut self, message: Up) {
        let request = v1::LendRequest { message: Some(message) };
        let sent = self.line.as_ref().is_some_and(|line| line.up.try_send(request).is_ok());
        if !sent {
            // It takes nothing any more, or the stream is over. What was to be said is said to the next one.
            self.hang_up();
        }
    }

    fn hang_up(&mut self) {
        (self.ask_sent, self.tick_sent) = (None, None);
        if self.line.take().is_some() {
            self.book.desk.lost();
        }
    }
}

impl Drop for Lender {
    fn drop(&mut self) {
        self.book.ended();
    }
}
