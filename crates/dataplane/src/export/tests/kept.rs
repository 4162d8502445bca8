//! Carriers that say when they have what they were given: files, objects, a collector of OTLP.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use object_store::memory::InMemory;
use object_store::path::Path as Place;
use object_store::{ObjectStore, ObjectStoreExt};

use super::super::position::{Noted, Position, PositionFile, Way};
use super::*;

fn tenant(name: &str) -> Chain {
    Chain::Tenant(name.parse().unwrap())
}

fn worker(decider: &Arc<Decider>, folder: &Path, tenant: Option<&str>, to: To) -> Worker {
    let tenant = tenant.map(|tenant| tenant.parse().unwrap());
    let export = Export { name: "siem".parse().unwrap(), format: Format::JsonLines, tenant, to };
    Worker::new(Arc::clone(decider), export, &folder.join("audit"))
}

fn position(folder: &Path) -> PositionFile {
    PositionFile::new(&folder.join("audit"), &"siem".parse().unwrap())
}

fn indexes(lines: &str) -> Vec<u64> {
    let index =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["index"].as_u64().unwrap();
    lines.lines().map(index).collect()
}

/// Name and content of every file of a folder.
fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let file = |path: PathBuf| {
        (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap())
    };
    files.map(file).collect()
}

fn joined(files: &BTreeMap<String, Vec<u8>>) -> Vec<u64> {
    files.values().flat_map(|content| indexes(std::str::from_utf8(content).unwrap())).collect()
}

#[tokio::test]
async fn files_hold_every_record_once_in_order_and_end_where_they_are_full() {
    let Bench { decider, folder, .. } = Bench::new(by_amount);
    let decider = Arc::new(decider);
    for chain in [tenant("acme"), tenant("beta"), Chain::Node] {
        record(&decider, chain, 7).await;
    }
    let to = |name: &str| To::Files(Files { folder: folder.path().join(name), bytes_max: 1_200 });
    worker(&decider, folder.path(), None, to("all")).finish().await;
    let all = content(&folder.path().join("all"));
    assert_eq!(joined(&all), (0..21).collect::<Vec<_>>());
    assert!(all.len() > 3 && all.values().all(|content| content.len() <= 1_200), "{}", all.len());
    let first = all.keys().next().unwrap();
    assert!(first.ends_with("-00000000000000000000.jsonl"), "{first}");
    for (name, content) in &all {
        let named: u64 = name.rsplit_once('-').unwrap().1.strip_suffix(".jsonl").unwrap().parse().unwrap();
        assert_eq!(indexes(std::str::from_utf8(content).unwrap())[0], named);
    }
    // TEN-1, from the beginning again.
    std::fs::remove_dir_all(folder.path().join("audit/exports")).unwrap();
    worker(&decider, folder.path(), Some("beta"), to("beta")).finish().await;
    assert_eq!(joined(&content(&folder.path().join("beta"))), (7..14).collect::<Vec<_>>());
}

/// Whatever was written beyond what was noted, and wherever the process ended: the same bytes.
#[tokio::test]
async fn after_a_crash_files_have_the_bytes_that_they_have_without() {
    let Bench { decider, folder, .. } = Bench::new(by_amount);
    let decider = Arc::new(decider);
    record(&decider, tenant("acme"), 20).await;
    let at = folder.path().join("files");
    let to = || To::Files(Files { folder: at.clone(), bytes_max: 1_200 });
    worker(&decider, folder.path(), None, to()).finish().await;
    let expected = content(&at);
    let end = position(folder.path()).read().unwrap();
    let (names, life): (Vec<&String>, u64) = (expected.keys().collect(), end.position.life);
    let first = |name: &str| -> u64 {
        name.rsplit_once('-').unwrap().1.strip_suffix(".jsonl").unwrap().parse().unwrap()
    };
    // In the middle of each file, after each of its lines, with rubbish of a power cut behind it, and later files there or not.
    for (number, name) in names.iter().enumerate() {
        let lines: Vec<&[u8]> = expected[*name].split_inclusive(|byte| *byte == b'\n').collect();
        for written in 0..=lines.len() {
            let bytes: usize = lines[..written].iter().map(|line| line.len()).sum();
            for later in [false, true] {
                let mut torn = expected[*name][..bytes].to_vec();
                let next = first(name) + written as u64;
                if next < end.position.next {
                    torn.extend_from_slice(b"{\"index\":\0\0\0");
                }
                std::fs::write(at.join(name), torn).unwrap();
                for after in &names[number + 1..] {
                    if later {
                        std::fs::write(at.join(after), b"half a li").unwrap();
                    } else {
                        std::fs::remove_file(at.join(after)).unwrap();
                    }
                }
                let way = match written {
                    // Created, and not noted yet.
                    0 => Way::None,
                    _ => Way::File { first: first(name), bytes: bytes as u64 },
                };
                position(folder.path()).note(Noted { position: Position { life, next }, way }).unwrap();
                worker(&decider, folder.path(), None, to()).finish().await;
                assert!(content(&at) == expected, "{name}, {written} lines, later ones {later}");
                assert_eq!(position(folder.path()).read().unwrap(), end);
            }
        }
    }
}

#[tokio::test]
async fn a_file_that_somebody_took_or_cut_loses_no_record() {
    let Bench { decider, folder, .. } = Bench::new(by_amount);
    let decider = Arc::new(decider);
    let at = folder.path().join("files");
    let made =
        || worker(&decider, folder.path(), None, To::Files(Files { folder: at.clone(), bytes_max: 1 << 20 }));
    record(&decider, Chain::Node, 3).await;
    made().finish().await;
    let [name] = &content(&at).into_keys().collect::<Vec<_>>()[..] else { panic!("one file") };
    std::fs::remove_file(at.join(name)).unwrap();
    record(&decider, Chain::Node, 3).await;
    made().finish().await;
    assert_eq!(joined(&content(&at)), [3, 4, 5], "it goes on in another one");
    let [name] = &content(&at).into_keys().collect::<Vec<_>>()[..] else { panic!("one file") };
    let whole = content(&at)[name].clone();
    std::fs::write(at.join(name), &whole[..10]).unwrap();
    record(&decider, Chain::Node, 1).await;
    let before = position(folder.path()).read().unwrap();
    made().finish().await;
    assert_eq!(content(&at)[name], whole[..10], "what somebody cut is not written to");
    assert_eq!(position(folder.path()).read().unwrap(), before);
    std::fs::write(at.join(name), &whole).unwrap();
    made().finish().await;
    assert_eq!(joined(&content(&at)), [3, 4, 5, 6]);
}

/// A store in memory.
fn store(every: Duration) -> (To, Arc<InMemory>) {
    let memory = Arc::new(InMemory::new());
    let archive = Archive::new(
        Arc::clone(&memory) as Arc<dyn ObjectStore>,
        Place::from("lake"),
        "memory".to_owned(),
        "m",
        vec![],
    );
    (To::Store(Store { archive, every }), memory)
}

async fn objects(memory: &InMemory) -> BTreeMap<String, Vec<u8>> {
    use futures_util::TryStreamExt;
    let listed: Vec<_> = memory.list(None).try_collect().await.unwrap();
    let mut objects = BTreeMap::new();
    for object in listed {
        let content = memory.get(&object.location).await.unwrap().bytes().await.unwrap();
        objects.insert(object.location.to_string(), content.to_vec());
    }
    objects
}

fn unpacked(content: &[u8]) -> Vec<u64> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(content).read_to_string(&mut text).unwrap();
    indexes(&text)
}

#[tokio::test]
async fn objects_are_by_tenant_and_day_and_a_retry_puts_the_same_once_more() {
    let Bench { decider, folder, .. } = Bench::new(by_amount);
    let decider = Arc::new(decider);
    for chain in [tenant("acme"), tenant("be/ta"), Chain::Node, tenant("acme")] {
        record(&decider, chain, 2).await;
    }
    let (to, memory) = store(Duration::from_secs(60));
    worker(&decider, folder.path(), None, to.clone()).finish().await;
    let first = objects(&memory).await;
    let by_name: BTreeMap<&str, Vec<u64>> =
        first.iter().map(|(name, content)| (name.as_str(), unpacked(content))).collect();
    let [node, acme, beta] = &by_name.iter().collect::<Vec<_>>()[..] else { panic!("{by_name:?}") };
    // TEN-1: nobody's folder holds another's events.
    assert_eq!((acme.1, beta.1, node.1), (&vec![0, 1, 6, 7], &vec![2, 3], &vec![4, 5]));
    assert!(
        acme.0.starts_with("lake/tenant=acme/day=20") && acme.0.ends_with("/00000000000000000000.jsonl.gz"),
        "{}",
        acme.0
    );
    assert!(beta.0.starts_with("lake/tenant=be%2Fta/day="), "{}", beta.0);
    assert!(node.0.starts_with("lake/node/day="), "{}", node.0);

    // The process ended after some of it was put: whatever was recorded since, the same objects are there once more, and what
    // was recorded since is in others.
    let end = position(folder.path()).read().unwrap().position;
    for name in first.keys().skip(1) {
        memory.delete(&Place::from(name.as_str())).await.unwrap();
    }
    let began = Position { life: end.life, next: 0 };
    position(folder.path()).note(Noted { position: began, way: Way::Upto(end.next) }).unwrap();
    record(&decider, tenant("acme"), 3).await;
    worker(&decider, folder.path(), None, to).finish().await;
    let then = objects(&memory).await;
    assert!(first.iter().all(|(name, content)| then[name] == *content), "byte by byte");
    let mut all: Vec<u64> = then.values().flat_map(|content| unpacked(content)).collect();
    all.sort_unstable();
    assert_eq!(all, (0..11).collect::<Vec<_>>(), "each once");
    assert_eq!(then.len(), 4);
}

#[tokio::test]
async fn objects_are_gathered_for_a_while() {
    let Bench { decider, folder, .. } = Bench::new(by_amount);
    let decider = Arc::new(decider);
    let (to, memory) = store(Duration::from_secs(1));
    let mut running = JoinSet::new();
    let mut worker = worker(&decider, folder.path(), None, to);
    let counts = worker.counts();
    running.spawn(async move { worker.run().await });
    for _ in 0..5 {
        record(&decider, Chain::Node, 1).await;
    }
    let all = async || -> Vec<u64> {
        objects(&memory).await.values().flat_map(|content| unpacked(content)).collect()
    };
    let until = async {
        while all().await.len() < 5 {
            // expect(sleep): the worker is a task of its own
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), until).await.expect("it is put");
    running.shutdown().await;
    assert_eq!(all().await, (0..5).collect::<Vec<_>>());
    assert!(objects(&memory).await.len() <= 2, "not an object per record");
    let families = Counts::families(&[counts]);
    let of = |name: &str| families.iter().find(|family| family.name == name).unwrap().series.len();
    assert_eq!(of("aegis_export_refused_records_total"), 1);
}

#[tokio::test]
async fn what_a_collector_does_not_take_is_told_again_until_it_does() {
    let Bench { decider, folder, .. } = Bench::new(by_amount);
    let decider = Arc::new(decider);
    record(&decider, tenant("acme"), 3).await;
    record(&decider, Chain::Node, 2).await;
    let told = Arc::new(Mutex::new(Vec::<(u64, Option<String>)>::new()));
    let down = Arc::new(AtomicBool::new(true));
    let (sees, off) = (Arc::clone(&told), Arc::clone(&down));
    let collector = Otlp::new("here", move |message: Told| {
        let (sees, off) = (Arc::clone(&sees), off.load(Ordering::SeqCst));
        async move {
            if off {
                return Err("it is down".to_owned());
            }
            assert!(message.origin.contains("/"), "the name of a log");
            sees.lock().unwrap().extend(message.events.into_iter().map(|event| (event.index, event.tenant)));
            Ok(0)
        }
    });
    let mut sends = worker(&decider, folder.path(), None, To::Otlp(collector.clone()));
    let mut running = JoinSet::new();
    running.spawn(async move { sends.run().await });
    let before = position(folder.path()).read().unwrap();
    // expect(sleep): so long that it was tried
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(position(folder.path()).read().unwrap(), before, "nothing is noted that nobody took");
    down.store(false, Ordering::SeqCst);
    let until = async {
        while told.lock().unwrap().len() < 5 || position(folder.path()).read().unwrap().position.next < 5 {
            // expect(sleep): the worker is a task of its own
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), until).await.expect("it is told");
    running.shutdown().await;
    let seen = told.lock().unwrap().clone();
    assert_eq!(seen.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!((seen[0].1.as_deref(), seen[3].1.as_deref()), (Some("acme"), None));
    // Another process goes on behind it.
    worker(&decider, folder.path(), None, To::Otlp(collector)).finish().await;
    assert_eq!(told.lock().unwrap().len(), 5);
}
