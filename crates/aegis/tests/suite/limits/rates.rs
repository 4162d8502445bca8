//! A rate over three data nodes: no second holds more than the rate and its burst, whoever is asked, and what is asked for is
//! used, also when the load moves from node to node (B5).
//!
//! A call was admitted at some moment between its sending and its answer. So a window is proven to be too full only by calls
//! that lie in it as a whole: the count is never too high, however slow the machine is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::callers::{Client, Said};
use super::{agent, enforce};
use crate::nodes::Cluster;
use crate::trials::figures::{figure, quantile};
use crate::trials::{number, rounds, runtime};

const RATE: u64 = 60;
const BURST: u64 = 12;

/// Clients per data node, with one call under way each.
const CLIENTS: usize = 16;

/// Pause of a client after a call: together they ask for several times the rate.
const PAUSE: Duration = Duration::from_millis(15);

/// All nodes are asked for so long at first, and then one alone for so many seconds each time, unless a bar asks for more.
const STEADY: Duration = Duration::from_secs(10);
const MOVED_SECONDS: u64 = 6;

/// Until shares have settled: not measured as steady.
const SETTLING: Duration = Duration::from_secs(3);

/// Every node is asked.
const ALL: usize = usize::MAX;

/// When a call was sent and when its answer came, since the beginning.
type Admitted = (Duration, Duration);

#[test]
fn no_second_holds_more_than_the_rate() {
    let cluster = Cluster::running(3, 3);
    enforce(
        &cluster,
        &format!(
            "agents: ['agent-*']\nrps_limit: {RATE}\nburst: {BURST}\nallowed_tools: [{{name: stripe-payments}}]\n"
        ),
    );
    let token = agent(&cluster, "agent-1");
    let (runtime, moves) = (runtime(), rounds(3));
    let moved = Duration::from_secs(number("AEGIS_FAULTS_SECONDS", MOVED_SECONDS));
    let (admitted, answered, phases) = runtime.block_on(async {
        let load = Load::start(&cluster, &token);
        let mut phases = vec![load.phase(ALL, STEADY).await];
        for turn in 0..moves as usize {
            phases.push(load.phase(turn % cluster.data.len(), moved).await);
        }
        let (admitted, answered) = load.end().await;
        (admitted, answered, phases)
    });
    let worst = worst_second(&admitted);
    assert!(worst as u64 <= RATE + BURST, "{worst} calls were admitted within a second");
    let used = |from: Duration, until: Duration| {
        let count = admitted.iter().filter(|(_, answered)| (from..until).contains(answered)).count();
        count as f64 / (RATE as f64 * (until - from).as_secs_f64())
    };
    let steady = used(phases[0].0 + SETTLING, phases[0].1);
    let moved: Vec<f64> = phases[1..].iter().map(|(from, until)| used(*from, *until)).collect();
    figure("rates/worst_second", worst as f64 / (RATE + BURST) as f64, "of rate and burst");
    figure("rates/used_steady", steady, "of the rate");
    figure("rates/used_moving", quantile(&moved, 0.5), "of the rate");
    // How much of it is for the bar to say; that it is used at all is not. A slow machine may not ask for all of it.
    let (from, until) = (phases[0].0 + SETTLING, phases[0].1);
    let asked = answered.iter().filter(|&moment| (from..until).contains(moment)).count();
    let asked = asked as f64 / (RATE as f64 * (until - from).as_secs_f64());
    assert!(steady > asked.min(1.0) / 4.0, "{steady} of the rate is used, {asked} of it was asked for");
}

/// The most calls that lie within one second as a whole.
fn worst_second(admitted: &[Admitted]) -> usize {
    let within = |begin: Duration| {
        let end = begin + Duration::from_secs(1);
        admitted.iter().filter(|(sent, answered)| *sent >= begin && *answered <= end).count()
    };
    admitted.iter().map(|(sent, _)| within(*sent)).max().unwrap_or(0)
}

#[test]
fn a_second_that_is_too_full_is_found() {
    let at = |ms| (Duration::from_millis(ms), Duration::from_millis(ms + 5));
    let calls: Vec<Admitted> = [0, 10, 500, 994, 996, 1_500].map(at).to_vec();
    assert_eq!(worst_second(&calls), 4, "the fifth was answered after the second of the first");
    assert_eq!(worst_second(&[]), 0);
}

/// The calls that were admitted, and when each answer came, whatever it was.
type Told = (Vec<Admitted>, Vec<Duration>);

/// Clients that call without end, at all nodes or at one.
struct Load {
    begun: Instant,
    asked: Arc<AtomicUsize>,
    told: Arc<Mutex<Told>>,
    tasks: JoinSet<()>,
}

impl Load {
    fn start(cluster: &Cluster, token: &str) -> Self {
        let (begun, asked) = (Instant::now(), Arc::new(AtomicUsize::new(ALL)));
        let told = Arc::<Mutex<Told>>::default();
        let mut tasks = JoinSet::new();
        for (node, data) in cluster.data.iter().enumerate() {
            for _ in 0..CLIENTS {
                let client = Client::new(data.http, token);
                let (asked, told) = (Arc::clone(&asked), Arc::clone(&told));
                tasks.spawn(async move {
                    loop {
                        let turn = asked.load(Ordering::Relaxed);
                        if turn == ALL || turn == node {
                            call(&client, begun, &told).await;
                        }
                        // expect(sleep): a client that asks without pause would take the processors from the nodes.
                        tokio::time::sleep(PAUSE).await;
                    }
                });
            }
        }
        Self { begun, asked, told, tasks }
    }

    /// Only `node` is asked for so long, or all are: from when to when.
    async fn phase(&self, node: usize, length: Duration) -> (Duration, Duration) {
        self.asked.store(node, Ordering::Relaxed);
        let from = self.begun.elapsed();
        // expect(sleep): a rate is measured over time.
        tokio::time::sleep(length).await;
        (from, self.begun.elapsed())
    }

    async fn end(mut self) -> Told {
        // They call without end: one that has ended met an answer that may not be.
        if let Some(ended) = self.tasks.try_join_next() {
            panic!("a client has ended: {ended:?}");
        }
        self.tasks.shutdown().await;
        std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn call(client: &Client, begun: Instant, told: &Mutex<Told>) {
    let sent = begun.elapsed();
    let said = client.call().await;
    let answered = begun.elapsed();
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    told.1.push(answered);
    match said {
        Said::Allowed => told.0.push((sent, answered)),
        Said::Refused(code) if code == "RateLimitExceeded" => {}
        // A node that cannot say for now: nothing was admitted.
        Said::Unavailable(_) => {}
        other => panic!("a call was answered with {other:?}"),
    }
}
