//! Events at a collector in the same process: all of them, at least once, and of the wanted tenant only; in files and objects, once.

mod kept;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use aegis_audit::record::{Chain, Refusals, What};
use aegis_identity::tls::{IdentityPem, client_config, server_config};
use aegis_model::reason::ReasonCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::decider::Decider;
use crate::testing::{Bench, NOW, by_amount};

/// A collector that keeps every message it was sent; it takes so many connections, the others it ends at once.
struct Site {
    export: Export,
    messages: Arc<Mutex<Vec<String>>>,
    ended: Arc<std::sync::atomic::AtomicUsize>,
    _running: JoinSet<()>,
}

impl Site {
    async fn start(tenant: Option<&str>) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let identity = IdentityPem { chain: chain.as_bytes(), key: key.as_bytes() };
        let acceptor = TlsAcceptor::from(Arc::new(server_config(identity, None, &[]).unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let collector = Collector {
            host: "127.0.0.1".to_owned(),
            port,
            server_name: "localhost".try_into().unwrap(),
            tls: Arc::new(client_config(chain.as_bytes(), None, &[]).unwrap()),
        };
        let messages = Arc::new(Mutex::new(Vec::new()));
        let ended = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let (mut running, kept, ends) = (JoinSet::new(), Arc::clone(&messages), Arc::clone(&ended));
        running.spawn(async move {
            loop {
                let Ok((socket, _)) = listener.accept().await else { continue };
                let Ok(mut stream) = acceptor.accept(socket).await else { continue };
                let (mut bytes, mut part) = (Vec::new(), vec![0; 64 << 10]);
                while let Ok(read @ 1..) = stream.read(&mut part).await {
                    bytes.extend_from_slice(&part[..read]);
                    take(&mut bytes, &kept);
                    if ends.load(std::sync::atomic::Ordering::SeqCst) > 0 {
                        ends.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        break;
                    }
                }
                let _gone = stream.shutdown().await;
            }
        });
        let tenant = tenant.map(|tenant| tenant.parse().unwrap());
        let to = To::Syslog(collector);
        let export = Export { name: "siem".parse().unwrap(), format: Format::JsonLines, tenant, to };
        Self { export, messages, ended, _running: running }
    }

    fn worker(&self, bench: &Arc<Decider>, folder: &std::path::Path) -> Worker {
        Worker::new(Arc::clone(bench), self.export.clone(), &folder.join("audit"))
    }

    /// Which records came, and how many messages.
    fn indexes(&self) -> (BTreeSet<u64>, usize) {
        let messages = self.messages.lock().unwrap();
        let index = |message: &String| {
            let event: serde_json::Value = serde_json::from_str(
                message.split_once(" - {").map(|(_, it)| format!("{{{it}")).unwrap().as_str(),
            )
            .unwrap();
            event["index"].as_u64().unwrap()
        };
        (messages.iter().map(index).collect(), messages.len())
    }
}

/// Takes whole frames from the front.
fn take(bytes: &mut Vec<u8>, to: &Mutex<Vec<String>>) {
    while let Some(space) = bytes.iter().position(|byte| *byte == b' ') {
        let length: usize = std::str::from_utf8(&bytes[..space]).unwrap().parse().unwrap();
        if bytes.len() < space + 1 + length {
            return;
        }
        let message = bytes.drain(..=space + length).skip(space + 1).collect();
        to.lock().unwrap().push(String::from_utf8(message).unwrap());
    }
}

async fn record(decider: &Decider, chain: Chain, count: u64) {
    for number in 1..=count {
        let what = Refusals { code: ReasonCode::Overloaded, count: number, source: "others".to_owned() };
        let ticket = decider.records.append(NOW, chain.clone(), &What::Refusals(what)).unwrap();
        decider.records.kept(ticket).await.unwrap();
    }
    decider.records.journal().unwrap().checkpoint().unwrap();
}

#[tokio::test]
async fn a_tenants_export_has_its_records_and_no_others() {
    let site = Site::start(Some("acme")).await;
    let Bench { decider, folder, .. } = Bench::new(by_amount);
    let decider = Arc::new(decider);
    let tenant = |name: &str| Chain::Tenant(name.parse().unwrap());
    for chain in [tenant("acme"), tenant("beta"), Chain::Node, tenant("acme")] {
        record(&decider, chain, 3).await;
    }
    site.worker(&decider, folder.path()).finish().await;
    assert_eq!(site.indexes(), (BTreeSet::from([0, 1, 2, 9, 10, 11]), 6), "TEN-1");
    assert!(site.messages.lock().unwrap().iter().all(|message| message.starts_with("<108>1 ")));
    // What was sent to the end of a connection was noted: the next start begins behind it.
    record(&decider, tenant("acme"), 1).await;
    site.worker(&decider, folder.path()).finish().await;
    assert_eq!(site.indexes().1, 7);
}

#[tokio::test]
async fn what_a_broken_connection_may_have_lost_is_sent_again() {
    let site = Site::start(None).await;
    let Bench { decider, folder, .. } = Bench::new(by_amount);
    let decider = Arc::new(decider);
    record(&decider, Chain::Node, 5).await;
    site.ended.store(2, std::sync::atomic::Ordering::SeqCst);
    let mut worker = site.worker(&decider, folder.path());
    let mut running = JoinSet::new();
    running.spawn(async move { worker.run().await });
    let until = async |most: u64| {
        while site.indexes().0 != (0..most).collect()
            || site.ended.load(std::sync::atomic::Ordering::SeqCst) > 0
        {
            // expect(sleep): the worker, the collector and the journal are tasks and threads of their own
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let within = Duration::from_secs(30);
    tokio::time::timeout(within, until(5)).await.expect("all came, in spite of two breaks");
    record(&decider, Chain::Node, 5).await;
    tokio::time::timeout(within, until(10)).await.expect("and what was recorded later");
    assert!(site.indexes().1 > 10, "some came twice");
    running.shutdown().await;
    // Nothing was noted within the time in which it may still be lost, so another process begins anew.
    let before = site.indexes().1;
    site.worker(&decider, folder.path()).finish().await;
    assert_eq!(site.indexes(), ((0..10).collect(), before + 10));
}

#[test]
fn names_are_names_of_files() {
    for good in ["siem", "a-1", &"a".repeat(32)] {
        assert_eq!(good.parse::<ExportName>().unwrap().to_string(), good);
    }
    for bad in ["", "A", "a/b", "..", "a b", &"a".repeat(33)] {
        assert_eq!(bad.parse::<ExportName>(), Err(BadExportName));
    }
}
