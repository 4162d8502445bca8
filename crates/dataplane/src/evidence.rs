//! Reports this node's audit logs to the control plane: that the log of this life begins, how far it is, and where earlier ones
//! and this one ended. What the control log refuses is refused for good: then this node showed another log than it has, or
//! lost a part of it, and may decide nothing more (AUD-1).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aegis_audit::hash::Hash;
use aegis_audit::journal::{Disk, Proof, Signed};
use aegis_audit::keys::VerifyingKey;
use aegis_audit::note::Note;
use aegis_audit::tiles::{NoTile, Tile, Tiles};
use aegis_audit::tree;
use aegis_audit::witness::Request;
use aegis_model::caps;
use aegis_proto::v1;
use aegis_proto::v1::evidence_client::EvidenceClient;
use tokio::sync::watch;
use tonic::Code;
use tonic::transport::Channel;

use crate::decider::Decider;
use crate::feed::causes;

/// Which control node is asked at present, and who asks; nothing before the first.
pub(crate) type Door = Option<(Channel, v1::EvidenceNode)>;

/// Why something was not reported.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotReported {
    /// Nobody could take it. It may be tried again.
    #[error("no control node takes it: {0}")]
    Unavailable(String),
    /// The control node is of older software, and keeps no evidence of data nodes.
    #[error("the control node keeps no evidence of data nodes")]
    Unsupported,
    /// The control log refuses it, and always will.
    #[error("the control log refuses it: {0}")]
    Refused(String),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] NoTile),
}

impl From<tonic::Status> for NotReported {
    fn from(status: tonic::Status) -> Self {
        match status.code() {
            Code::Unimplemented => Self::Unsupported,
            _ => Self::Unavailable(causes(&status)),
        }
    }
}

fn client(channel: Channel) -> EvidenceClient<Channel> {
    EvidenceClient::new(channel)
        .max_decoding_message_size(caps::EVIDENCE_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(caps::EVIDENCE_MESSAGE_BYTES_MAX)
}

const ANSWER_WITHIN: Duration = Duration::from_secs(caps::EVIDENCE_ANSWER_SECONDS);

fn late(_elapsed: tokio::time::error::Elapsed) -> NotReported {
    NotReported::Unavailable("no answer in time".to_owned())
}

/// Says that the log with this key begins. Nothing may be decided before that is answered.
///
/// # Errors
/// [`NotReported`]
pub(crate) async fn open(
    channel: Channel,
    node: &v1::EvidenceNode,
    key: &VerifyingKey,
) -> Result<(), NotReported> {
    let request = v1::OpenJournalRequest { node: Some(node.clone()), verifier: key.to_string() };
    let answer = tokio::time::timeout(ANSWER_WITHIN, client(channel).open_journal(request)).await;
    let answer = answer.map_err(late)??.into_inner();
    match answer.refused.as_str() {
        "" => Ok(()),
        code => Err(NotReported::Refused(format!("{code}: {}", answer.message))),
    }
}

/// A log to be reported.
trait Log: Send + Sync + 'static {
    /// Its name.
    fn origin(&self) -> String;

    /// The newest checkpoint with a proof from the first `old` entries; nothing if there are fewer.
    ///
    /// # Errors
    /// The disk does not give what is needed.
    fn prove_since(&self, old: u64) -> Result<Option<Proof>, NoTile>;
}

/// The log of this life.
struct Running(Arc<Decider>);

impl Log for Running {
    fn origin(&self) -> String {
        self.0.records.journal().map(|journal| journal.key().name().to_string()).unwrap_or_default()
    }

    fn prove_since(&self, old: u64) -> Result<Option<Proof>, NoTile> {
        self.0.records.journal().map_or(Ok(None), |journal| journal.prove_since(old))
    }
}

/// The log of an earlier life, which is closed.
pub(crate) struct Ended {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    last: Arc<Signed>,
}

/// The file in a log's folder that says that its end was reported.
const REPORTED: &str = "reported";

impl Ended {
    /// The closed log in `folder`, unless its end was reported, or it has no checkpoint that can be read.
    pub(crate) fn read(disk: &Arc<dyn Disk>, folder: &Path) -> Option<Self> {
        if disk.list(folder).ok()?.iter().any(|name| name == REPORTED) {
            return None;
        }
        let note = disk.read(&folder.join("checkpoint")).ok()?;
        let text = Note::read(&note).ok()?;
        let checkpoint = aegis_audit::checkpoint::Checkpoint::read_text(text.text()).ok()?;
        let last = Arc::new(Signed { checkpoint, note });
        Some(Self { disk: Arc::clone(disk), folder: folder.to_owned(), last })
    }

    /// Notes that its end was reported, so that no later life does it again.
    fn note_reported(&self) {
        let made = self.disk.create(&self.folder.join(REPORTED)).and_then(|mut file| file.sync());
        if let Err(error) = made.and_then(|()| self.disk.sync_dir(&self.folder)) {
            tracing::debug!(%error, log = %self.last.checkpoint.origin, "the end of a log will be reported again");
        }
    }
}

impl Log for Ended {
    fn origin(&self) -> String {
        self.last.checkpoint.origin.to_string()
    }

    fn prove_since(&self, old: u64) -> Result<Option<Proof>, NoTile> {
        let size = self.last.checkpoint.size;
        if old > size {
            return Ok(None);
        }
        let tiles = Tiles::new(size, |tile: &Tile| self.disk.read(&self.folder.join(tile.to_string())));
        let hashes = tree::consistency(&tiles, old, size)?;
        Ok(Some(Proof { hashes, signed: Arc::clone(&self.last) }))
    }
}

/// Reports the log of this life every second in which it grew, and once the ends of earlier ones, for as long as it is polled.
/// If the control log refuses the log of this life, nothing more may be recorded, and so nothing decided.
pub(crate) async fn keep(decider: Arc<Decider>, door: watch::Receiver<Door>) {
    let running: Arc<dyn Log> = Arc::new(Running(Arc::clone(&decider)));
    let (mut known, mut earlier) = (0, None);
    let mut ticks = tokio::time::interval(Duration::from_millis(caps::EVIDENCE_EVERY_MS));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some((channel, node)) = door.borrow().clone() else { continue };
        let newest = decider.records.journal().and_then(|journal| journal.newest());
        if newest.is_some_and(|newest| newest.checkpoint.size != known) {
            let reported = report(&channel, &node, &running, known, false).await;
            decider.metrics.reported(result(&reported), reported.as_ref().ok().copied());
            match reported {
                Ok(size) => known = size,
                Err(NotReported::Refused(why)) => {
                    decider.records.refuse(&why);
                    return std::future::pending().await;
                }
                Err(error) => tracing::debug!(%error, "the audit log could not be reported yet"),
            }
        }
        let ends = earlier.get_or_insert_with(|| decider.records.ended());
        if let Some(ended) = ends.pop() {
            let log: Arc<dyn Log> = ended.clone();
            let reported = report(&channel, &node, &log, 0, true).await;
            decider.metrics.reported(result(&reported), None);
            match reported {
                Ok(size) => {
                    tracing::info!(
                        log = log.origin(),
                        size,
                        "the end of an earlier audit log is in the control log"
                    );
                    ended.note_reported();
                }
                Err(NotReported::Refused(why)) => {
                    tracing::error!(
                        log = log.origin(),
                        why,
                        "the control log refuses an earlier audit log of this node"
                    );
                    ended.note_reported();
                }
                Err(error) => {
                    tracing::debug!(%error, log = log.origin(), "the end of an audit log could not be reported yet");
                    ends.push(ended);
                }
            }
        }
    }
}

/// Reports that the log of this life, which was closed, ended here: then its last record is in the control log even if no later
/// life of this node ever comes. Waits at most [`caps::EVIDENCE_END_SECONDS`]; what is not reported now, the next life reports.
pub(crate) async fn report_end(decider: &Arc<Decider>) {
    let door = decider.evidence_door.get().and_then(|door| door.borrow().clone());
    let (Some((channel, node)), Some(journal)) = (door, decider.records.journal()) else { return };
    let name = journal.key().name().to_string();
    let of = Arc::clone(decider);
    let newest = tokio::task::spawn_blocking(move || of.records.ended().pop()).await;
    let Some(ended) = newest.ok().flatten().filter(|ended| ended.origin() == name) else { return };
    let log: Arc<dyn Log> = ended.clone();
    let wait = Duration::from_secs(caps::EVIDENCE_END_SECONDS);
    let reported = tokio::time::timeout(wait, report(&channel, &node, &log, 0, true)).await;
    match reported.unwrap_or_else(|elapsed| Err(late(elapsed))) {
        Ok(size) => {
            ended.note_reported();
            tracing::info!(log = name, size, "the end of the audit log is in the control log");
        }
        Err(error) => {
            tracing::warn!(log = name, %error, "the end of the audit log was not reported; the next start does it");
        }
    }
}

/// What came of a report, for metrics.
fn result(reported: &Result<u64, NotReported>) -> &'static str {
    match reported {
        Ok(_) => "accepted",
        Err(NotReported::Refused(_)) => "refused",
        Err(NotReported::Unavailable(_) | NotReported::Unsupported | NotReported::Log(_)) => "unavailable",
    }
}

/// Reports the newest checkpoint of `log`, from `known`, the size that the control log is believed to know: what it knows now.
async fn report(
    channel: &Channel,
    node: &v1::EvidenceNode,
    log: &Arc<dyn Log>,
    known: u64,
    closing: bool,
) -> Result<u64, NotReported> {
    let mut old_size = known;
    for _attempt in 0..ATTEMPTS {
        let (of, old) = (Arc::clone(log), old_size);
        let proof = tokio::task::spawn_blocking(move || of.prove_since(old)).await;
        let proof = proof.map_err(|panic| NotReported::Unavailable(panic.to_string()))??;
        let Some(Proof { hashes, signed }) = proof else {
            let words =
                format!("it knows {old_size} entries of `{}`, and there are fewer here", log.origin());
            return Err(NotReported::Refused(words));
        };
        let note = Note::read(&signed.note).map_err(|error| NotReported::Refused(error.to_string()))?;
        let request = v1::ReportCheckpointRequest {
            node: Some(node.clone()),
            origin: log.origin(),
            request: request(old_size, hashes, note),
            closing,
        };
        let mut client = client(channel.clone());
        let answer = tokio::time::timeout(ANSWER_WITHIN, client.report_checkpoint(request)).await;
        let answer = answer.map_err(late)??.into_inner();
        match answer.refused.as_str() {
            "" => return Ok(answer.size),
            "checkpoint_stale" => old_size = answer.size,
            // Another process has taken this node's place, and this one ends; its log is as good as before.
            "fenced" => {
                return Err(NotReported::Unavailable("another process took this node's place".to_owned()));
            }
            code => return Err(NotReported::Refused(code.to_owned())),
        }
    }
    Err(NotReported::Unavailable("what is known of the log changes all the time".to_owned()))
}

fn request(old_size: u64, proof: Vec<Hash>, note: Note) -> Vec<u8> {
    Request { old_size, proof, note }.to_bytes()
}

/// The first may know another size than was believed; more often only if somebody else reports the same log.
const ATTEMPTS: usize = 4;

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use aegis_audit::record::{Chain, Refusals, What};
    use aegis_audit::witness::judge;
    use aegis_model::reason::ReasonCode;
    use aegis_proto::v1::evidence_server::{Evidence, EvidenceServer};
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::transport::{Endpoint, Server};
    use tonic::{Request as Asked, Response, Status};

    use super::*;
    use crate::records::Trouble;
    use crate::testing::{Bench, NOW, by_amount};

    /// A control log with one row, which can be made to believe that it has seen another log.
    #[derive(Default)]
    struct Row {
        key: Mutex<Option<VerifyingKey>>,
        known: Mutex<Option<aegis_audit::checkpoint::Checkpoint>>,
    }

    struct Service(Arc<Row>);

    #[tonic::async_trait]
    impl Evidence for Service {
        async fn open_journal(
            &self,
            asked: Asked<v1::OpenJournalRequest>,
        ) -> Result<Response<v1::OpenJournalResponse>, Status> {
            *self.0.key.lock().unwrap() = asked.into_inner().verifier.parse().ok();
            Ok(Response::new(v1::OpenJournalResponse::default()))
        }

        async fn report_checkpoint(
            &self,
            asked: Asked<v1::ReportCheckpointRequest>,
        ) -> Result<Response<v1::ReportCheckpointResponse>, Status> {
            let asked = asked.into_inner();
            let row = &self.0;
            let (key, mut known) = (row.key.lock().unwrap().clone().unwrap(), row.known.lock().unwrap());
            let request = Request::read(&asked.request).unwrap();
            let refused = match judge(known.as_ref(), &request, &key) {
                Ok(accepted) => {
                    *known = Some(accepted.checkpoint().clone());
                    String::new()
                }
                Err(refusal) => refusal.code().to_owned(),
            };
            let size = known.as_ref().map_or(0, |known| known.size);
            Ok(Response::new(v1::ReportCheckpointResponse { refused, size }))
        }
    }

    async fn serve(row: &Arc<Row>) -> (Channel, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (mut serving, service) = (JoinSet::new(), EvidenceServer::new(Service(Arc::clone(row))));
        serving.spawn(async move {
            let incoming = TcpListenerStream::new(listener);
            Server::builder().add_service(service).serve_with_incoming(incoming).await.unwrap();
        });
        (Endpoint::from_shared(address).unwrap().connect().await.unwrap(), serving)
    }

    async fn record(decider: &Decider, count: u64) -> Result<(), aegis_audit::journal::NotKept> {
        let what = Refusals { code: ReasonCode::Overloaded, count, source: "others".to_owned() };
        let ticket = decider.records.append(NOW, Chain::Node, &What::Refusals(what))?;
        decider.records.kept(ticket).await.map(drop)
    }

    async fn until(what: &str, holds: impl Fn() -> bool) {
        for _ in 0..600 {
            if holds() {
                return;
            }
            // expect(sleep): another task and a server of its own bring it about
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("waited in vain: {what}");
    }

    /// C3, at the node: it reports as it grows, and once the control log has seen another log, it records nothing more (AUD-1).
    #[tokio::test]
    async fn a_node_whose_log_is_refused_records_nothing_more() {
        let row = Arc::new(Row::default());
        let (channel, _serving) = serve(&row).await;
        let Bench { decider, folder: _folder, .. } = Bench::new(by_amount);
        let decider = Arc::new(decider);
        let node = v1::EvidenceNode::default();
        let key = decider.records.journal().unwrap().key().clone();
        open(channel.clone(), &node, &key).await.unwrap();
        let (_door, door) = watch::channel(Some((channel, node)));
        let mut keeping = JoinSet::new();
        let kept = Arc::clone(&decider);
        keeping.spawn(async move { keep(kept, door).await });
        let size = || row.known.lock().unwrap().as_ref().map_or(0, |it| it.size);
        for count in 1..=3 {
            record(&decider, count).await.unwrap();
            decider.records.journal().unwrap().checkpoint().unwrap();
            until("an accepted checkpoint", || size() == count).await;
        }
        // What the control log knows is not what this node has.
        row.known.lock().unwrap().as_mut().unwrap().root = Hash::of(b"another log");
        record(&decider, 4).await.unwrap();
        decider.records.journal().unwrap().checkpoint().unwrap();
        let failed = || matches!(&*decider.records.trouble().borrow(), Some(Trouble::Failed(_)));
        until("trouble", failed).await;
        assert!(record(&decider, 5).await.is_err(), "fail closed");
    }
}
