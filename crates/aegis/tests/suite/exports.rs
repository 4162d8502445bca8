//! Events at a real rsyslog, over TLS: every record at least once, over restarts of either side, and no decision waits for it.
//! Beside it, events in files; those at a collector of OTLP are with telemetry.

mod files;
mod store;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use aegis_testkit::{eventually, kept};
use serde_json::Value;

use crate::nodes::{Cluster, Settings};
use crate::support::LONG;

/// The programs and libraries of Debian's packages `rsyslog` and `rsyslog-openssl`: `AEGIS_RSYSLOG` names the folder that they were
/// unpacked to; without it, those of the machine.
fn programs() -> Option<PathBuf> {
    let root = std::env::var_os("AEGIS_RSYSLOG").map_or_else(|| PathBuf::from("/"), PathBuf::from);
    let there = modules(&root).is_some() && root.join("usr/sbin/rsyslogd").exists();
    assert!(there || std::env::var_os("CI").is_none(), "CI has an rsyslog");
    there.then_some(root)
}

/// Where its modules lie: in a folder named after the machine's kind.
fn modules(root: &Path) -> Option<PathBuf> {
    let libraries = fs::read_dir(root.join("usr/lib")).ok()?;
    let folders = libraries.filter_map(|entry| Some(entry.ok()?.path().join("rsyslog")));
    folders.into_iter().find(|folder| folder.join("lmnsd_ossl.so").exists())
}

/// A collector: an rsyslog process in a folder, at an address that it keeps.
struct Collector {
    root: PathBuf,
    folder: PathBuf,
    address: SocketAddr,
    process: Option<Child>,
}

impl Collector {
    fn new(root: PathBuf, cluster: &Cluster, address: SocketAddr) -> Self {
        let folder = cluster.path("rsyslog");
        fs::create_dir_all(&folder).expect("a folder");
        let at = |name: &str| folder.join(name).display().to_string();
        let certs = |name: &str| cluster.path("certs").join(name).display().to_string();
        // Its certificate is one of a data node, which is for `localhost` as well.
        let text = format!(
            "global(workDirectory=\"{}\" maxMessageSize=\"4m\" defaultNetstreamDriver=\"ossl\"\n\
             defaultNetstreamDriverCAFile=\"{}\" defaultNetstreamDriverCertFile=\"{}\" defaultNetstreamDriverKeyFile=\"{}\")\n\
             module(load=\"imtcp\" streamDriver.name=\"ossl\" streamDriver.mode=\"1\" streamDriver.authMode=\"x509/certvalid\")\n\
             input(type=\"imtcp\" address=\"{}\" port=\"{}\")\n\
             template(name=\"raw\" type=\"string\" string=\"%rawmsg%\\n\")\n\
             action(type=\"omfile\" file=\"{}\" template=\"raw\")\n",
            folder.display(),
            certs("ca.pem"),
            certs("data-1.pem"),
            certs("data-1-key.pem"),
            address.ip(),
            address.port(),
            at("received"),
        );
        fs::write(folder.join("rsyslog.conf"), text).expect("a file");
        Self { root, folder, address, process: None }
    }

    fn start(&mut self) {
        let modules = modules(&self.root).expect("it was found before");
        let mut command = Command::new(self.root.join("usr/sbin/rsyslogd"));
        command.env("LD_LIBRARY_PATH", modules.parent().expect("a folder"));
        command.arg("-n").arg("-f").arg(self.folder.join("rsyslog.conf"));
        command.arg("-i").arg(self.folder.join("pid")).arg("-M").arg(&modules);
        let log = fs::File::create(self.folder.join("log")).expect("a file");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.process = Some(command.spawn().expect("it starts"));
        let listens = || TcpStream::connect(self.address).ok().map(drop);
        eventually("a collector that listens", LONG, listens).expect("it listens");
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it runs");
            process.wait().expect("it ends");
        }
    }

    /// What it has written, line by line.
    fn lines(&self) -> Vec<String> {
        // A character at the end may be half written.
        let text = fs::read(self.folder.join("received")).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
    }

    /// The decisions that it knows.
    fn decisions(&self) -> BTreeSet<String> {
        let events = self.lines();
        let ids = events.iter().filter_map(|line| {
            let event: Value = serde_json::from_str(line.split_once(" - decision - ")?.1).ok()?;
            event["unmapped"]["aegis"]["decision_id"].as_str().map(str::to_owned)
        });
        ids.collect()
    }

    fn until_it_has(&self, seen: &BTreeSet<String>, what: &str) {
        let has = || seen.is_subset(&self.decisions()).then_some(());
        let found = eventually(what, LONG, has);
        assert!(found.is_ok(), "{what}: {:?}", fs::read_to_string(self.folder.join("log")));
    }
}

/// The page of metrics at an address.
fn metrics(address: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut page = String::new();
    stream.read_to_string(&mut page).ok()?;
    Some(page)
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.kill();
    }
}

#[test]
fn every_decision_is_at_the_collector_whoever_is_killed_meanwhile() {
    let Some(root) = programs() else {
        println!("there is no rsyslog here, so nothing was sent to one");
        return;
    };
    let address = kept().expect("a free port");
    let export = |authorities: &str| {
        format!(
            "[[audit.export]]\nname = 'siem'\nto = 'syslog+tls://{address}'\nserver_name = 'localhost'\nformat = 'ocsf'\n\
             authorities = '{authorities}'\ncertificate = 'certs/data-1.pem'\nkey = 'certs/data-1-key.pem'\n"
        )
    };
    let settings = Settings { data: export("certs/ca.pem"), ..Settings::default() };
    let mut cluster = Cluster::running_with(settings, 1, 1);
    let mut collector = Collector::new(root, &cluster, address);
    assert_eq!(cluster.publish(10), 1);
    cluster.done(&["policy", "activate", "1", "--tenant", "acme", "--wait", "30s"]);
    let token = cluster.token("finance-agent");
    let mut seen = BTreeSet::new();
    let ask = |cluster: &Cluster, seen: &mut BTreeSet<String>, times: u32| {
        for amount in 0..times {
            #[expect(clippy::disallowed_methods, reason = "the edge: how long a client waits")]
            let began = Instant::now();
            let answer = cluster.ask(0, &token, amount);
            // It would wait for ever: nobody listens before all of these are answered.
            assert!(began.elapsed() < LONG, "no answer waits for a collector");
            seen.insert(answer.body["decision_id"].as_str().expect("an id").to_owned());
        }
    };
    // Nobody listens yet: what is decided meanwhile is sent later.
    ask(&cluster, &mut seen, 20);
    let behind = || {
        let page = metrics(cluster.data[0].metrics())?;
        let line = page.lines().find(|line| line.starts_with("aegis_export_failures{export=\"siem\"}"))?;
        line.rsplit(' ').next()?.parse::<f64>().ok().filter(|failures| *failures >= 1.0)
    };
    eventually("failures that metrics tell of", LONG, behind).expect("failures");
    collector.start();
    collector.until_it_has(&seen, "what was decided before it listened");
    let first = collector.lines().into_iter().find(|line| line.contains(" - decision - ")).expect("a line");
    // Facility 13, severity 6 or 4; the node, the product, the kind.
    assert!(first.starts_with("<110>1 20") || first.starts_with("<108>1 20"), "{first}");
    assert!(first.contains(" data-1 aegis - decision - {"), "{first}");

    collector.kill();
    ask(&cluster, &mut seen, 20);
    collector.start();
    collector.until_it_has(&seen, "what was decided while it was gone");
    ask(&cluster, &mut seen, 20);
    cluster.data[0].kill();
    cluster.start_data(0);
    ask(&cluster, &mut seen, 5);
    collector.until_it_has(&seen, "what was decided before and after the node was killed");
    ask(&cluster, &mut seen, 5);
    cluster.data[0].stop();
    // The end of the log as well, though the node never starts again.
    collector.until_it_has(&seen, "what was decided last");
    let end = || collector.lines().iter().any(|line| line.contains("\"last\":true")).then_some(());
    eventually("the end of the log", LONG, end).expect("the end of the log");
}
