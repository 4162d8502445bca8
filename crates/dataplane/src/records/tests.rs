//! The journal in a node's hands: what is kept, full and hanging disks, who may have the folder, one life after the other.

use std::path::Path;

use aegis_audit::record::Refusals;
use aegis_model::reason::ReasonCode;
use serde_json::Value;

use super::*;
use crate::testing::NOW;
use crate::testing::disk::{Fault, FaultyDisk};
use crate::testing::lines::lines;

fn open_on(disk: Arc<dyn Disk>, folder: &Path, node: &str) -> Result<Records, JournalError> {
    let config = JournalConfig { disk, ..folder.to_owned().into() };
    Records::open(config, &node.parse().unwrap(), &Clock::manual(NOW), &Secret::new([7; 32]))
}

fn open(folder: &Path, node: &str) -> Result<Records, JournalError> {
    open_on(Arc::new(SystemDisk), folder, node)
}

fn cluster() -> ClusterId {
    "prod.example".parse().unwrap()
}

fn begun(disk: Arc<dyn Disk>, folder: &Path) -> Records {
    let records = open_on(disk, folder, "n1").unwrap();
    records.begin(&cluster(), 1).unwrap();
    records
}

fn append(records: &Records, count: u64) -> Result<Ticket, NotKept> {
    let what = Refusals { code: ReasonCode::Overloaded, count, source: "others".to_owned() };
    records.append(NOW, Chain::Node, &What::Refusals(what))
}

#[tokio::test]
async fn a_record_is_in_the_log_when_its_ticket_says_so_and_every_waiter_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let records = begun(Arc::new(SystemDisk), folder.path());
    for number in 0..50 {
        let ticket = append(&records, number).unwrap();
        let waiters = (0..3).map(|_| records.kept(ticket.clone()));
        for told in futures_util::future::join_all(waiters).await {
            assert_eq!(told.unwrap().index, number);
        }
        assert_eq!(lines(folder.path()).last().unwrap()["count"], number);
    }
    assert_eq!(records.waiting(), 0);
    records.close().unwrap();
    assert!(append(&records, 0).is_err());
    let counts: Vec<Value> = lines(folder.path()).iter().map(|line| line["count"].clone()).collect();
    assert_eq!(counts, (0..50).map(Value::from).collect::<Vec<_>>(), "nothing was lost in the end");
}

#[tokio::test]
async fn a_full_disk_loses_the_record_says_so_and_stays_said() {
    let (folder, fault) = (tempfile::tempdir().unwrap(), Arc::new(Fault::default()));
    let records = begun(Arc::new(FaultyDisk(Arc::clone(&fault))), folder.path());
    let trouble = records.trouble();
    assert!(records.kept(append(&records, 1).unwrap()).await.is_ok() && trouble.borrow().is_none());
    fault.fill();
    assert!(records.kept(append(&records, 2).unwrap()).await.is_err());
    let told = trouble.borrow().clone().unwrap();
    assert!(matches!(told, Trouble::Failed(_)) && told.to_string().contains("started anew"), "{told}");
    assert!(append(&records, 3).is_err());
    records.look();
    assert_eq!(*trouble.borrow(), Some(told));
    assert!(records.close().is_err());
}

#[tokio::test]
async fn a_disk_that_fails_while_nothing_is_asked_is_noticed() {
    let (folder, fault) = (tempfile::tempdir().unwrap(), Arc::new(Fault::default()));
    let records = begun(Arc::new(FaultyDisk(Arc::clone(&fault))), folder.path());
    assert!(records.kept(append(&records, 1).unwrap()).await.is_ok());
    fault.fill();
    // The checkpoint over the record cannot be written.
    assert!(records.journal().unwrap().checkpoint().is_err());
    records.look();
    assert!(matches!(&*records.trouble().borrow(), Some(Trouble::Failed(_))));
}

/// A disk that hangs: the one who met it is told in time, everybody else at once, and it passes.
#[tokio::test(start_paused = true)]
async fn a_hanging_disk_fills_the_queue_and_recovers() {
    let (folder, fault) = (tempfile::tempdir().unwrap(), Arc::new(Fault::default()));
    let records = begun(Arc::new(FaultyDisk(Arc::clone(&fault))), folder.path());
    let trouble = records.trouble();
    fault.hang(true);
    let hanging = append(&records, 0).unwrap();
    assert_eq!(records.kept(hanging.clone()).await, Err(NotKept::Busy), "after the time it may take");
    assert_eq!(*trouble.borrow(), Some(Trouble::Late));
    let mut waiting = Vec::new();
    let refused = loop {
        match append(&records, 1) {
            Ok(ticket) => waiting.push(ticket),
            Err(refused) => break refused,
        }
        assert!(waiting.len() <= caps::AUDIT_QUEUE_MAX + caps::AUDIT_BATCH_MAX, "the queue is bounded");
    };
    assert_eq!(refused, NotKept::Busy);
    records.look();
    assert_eq!(*trouble.borrow(), Some(Trouble::Late), "records still wait");
    fault.hang(false);
    for ticket in std::iter::once(hanging).chain(waiting) {
        assert!(ticket.wait(Duration::from_secs(60)).is_ok());
    }
    assert_eq!(records.waiting(), 0);
    records.look();
    assert_eq!(*trouble.borrow(), None, "it takes records again, though nobody was sent here meanwhile");
}

#[test]
fn one_process_and_one_node_have_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let records = begun(Arc::new(SystemDisk), folder.path());
    let told = open(folder.path(), "n1").unwrap_err().to_string();
    assert!(told.ends_with("is in use by another process"), "{told}");
    drop(records);
    let told = open(folder.path(), "n2").unwrap_err().to_string();
    assert!(told.ends_with("is the journal of `prod.example/n1`, not of `n2`"), "{told}");
    let records = open(folder.path(), "n1").unwrap();
    let elsewhere = records.begin(&"other.example".parse().unwrap(), 2).unwrap_err();
    assert!(matches!(elsewhere, JournalError::OtherNode { .. }));
    assert!(matches!(&*records.trouble().borrow(), Some(Trouble::NotBegun(_))));
    assert!(!records.is_awaited());
    records.begin(&cluster(), 2).unwrap();
    assert_eq!(*records.trouble().borrow(), None, "it was tried again");
}

#[tokio::test]
async fn each_life_has_its_log_and_the_next_one_closes_what_was_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    for life in 1..=3 {
        let records = open(folder.path(), "n1").unwrap();
        assert!(
            records.is_awaited() && append(&records, 0).is_err(),
            "nothing is recorded before it has a log"
        );
        records.begin(&cluster(), life).unwrap();
        records.begin(&cluster(), life).unwrap();
        assert!(records.kept(append(&records, life).unwrap()).await.is_ok());
        // As a crash would leave it.
        drop(records);
        assert!(folder.path().join(format!("{life}/key")).exists());
    }
    let records = open(folder.path(), "n1").unwrap();
    for life in 1..=3 {
        assert!(!folder.path().join(format!("{life}/key")).exists());
    }
    assert!(matches!(records.begin(&cluster(), 3), Err(JournalError::Used(3))));
    let counts: Vec<Value> = lines(folder.path()).iter().map(|line| line["count"].clone()).collect();
    assert_eq!(counts, [1, 2, 3]);
}

#[test]
fn ids_and_keys_of_starts_with_other_secrets_differ() {
    let folder = tempfile::tempdir().unwrap();
    let records = open(folder.path(), "n1").unwrap();
    let ids: std::collections::HashSet<_> = (0..1_000).map(|_| records.new_id()).collect();
    assert_eq!(ids.len(), 1_000);
    drop(records);
    let config = JournalConfig::from(folder.path().to_owned());
    let secret = Secret::new([8; 32]);
    let other = Records::open(config, &"n1".parse().unwrap(), &Clock::manual(NOW), &secret).unwrap();
    assert!((0..1_000).all(|_| !ids.contains(&other.new_id())));
}
