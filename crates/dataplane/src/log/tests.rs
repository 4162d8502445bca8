//! The log by itself: whole lines, full and hanging disks, acknowledgements.

use std::fs;

use super::*;

fn line(number: usize) -> Vec<u8> {
    format!("{{\"n\":{number}}}\n").into_bytes()
}

/// A log whose lines all go through the queue.
fn wary(path: &Path) -> Log {
    let log = Log::open(path).unwrap();
    log.queue_every_line();
    log
}

#[tokio::test]
async fn a_line_is_in_the_file_when_its_ack_says_so() {
    let folder = tempfile::tempdir().unwrap();
    for open in [Log::open(&folder.path().join("direct")).unwrap(), wary(&folder.path().join("queued"))] {
        let name = if open.shared.wary.load(Ordering::Relaxed) == 0 { "direct" } else { "queued" };
        for number in 0..100 {
            assert!(open.append(line(number)).unwrap().written().await);
            let text = fs::read_to_string(folder.path().join(name)).unwrap();
            assert!(text.ends_with(&format!("{{\"n\":{number}}}\n")), "{name}: {text}");
        }
        assert_eq!(open.queued(), 0);
        open.close().unwrap();
        assert_eq!(open.append(line(0)).unwrap_err(), NotTaken);
    }
}

#[tokio::test]
async fn closing_writes_everything_that_was_taken_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let log = wary(&path);
    let acks: Vec<_> = (0..5_000).map(|number| log.append(line(number)).unwrap()).collect();
    log.close().unwrap();
    for ack in acks {
        assert!(ack.written().await);
    }
    let expected: Vec<u8> = (0..5_000).flat_map(line).collect();
    assert!(fs::read(&path).unwrap() == expected);
}

/// Calls and the thread share the file: no line is torn, lost or written twice.
#[test]
fn many_threads_write_whole_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let log = Log::open(&path).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let log = &log;
            scope.spawn(move || {
                for number in 0..1_000 {
                    if number % 100 == 0 {
                        log.shared.wary.store(50, Ordering::Relaxed);
                    }
                    log.append(line(thread * 1_000 + number)).unwrap();
                }
            });
        }
    });
    log.close().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let mut numbers: Vec<u64> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["n"].as_u64().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..8_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_torn_last_line_does_not_swallow_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    fs::write(&path, b"{\"n\":0}\n{\"n\":").unwrap();
    let log = Log::open(&path).unwrap();
    assert!(log.append(line(2)).unwrap().written().await);
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"n\":0}\n{\"n\":\n{\"n\":2}\n");
}

#[tokio::test]
async fn a_full_disk_loses_the_line_and_says_so() {
    for log in [Log::open(Path::new("/dev/full")).unwrap(), wary(Path::new("/dev/full"))] {
        let healthy = log.healthy();
        assert!(*healthy.borrow());
        assert!(!log.append(line(0)).unwrap().written().await);
        assert!(!*healthy.borrow());
        assert!(log.close().is_err());
    }
}

/// A pipe whose reader does not read is a disk that hangs: the one who met it waits, everybody else is told.
#[tokio::test]
async fn a_hanging_disk_fills_the_queue_and_recovers() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let log = Log::start(LogFile::from(fs::File::from(std::os::fd::OwnedFd::from(writer)))).unwrap();
    let healthy = log.healthy();
    let drained = std::thread::scope(|scope| {
        let hanging = scope.spawn(|| log.append(vec![b'x'; 1 << 17]).unwrap());
        while log.shared.file.try_lock().is_ok() {
            std::thread::yield_now();
        }
        let mut acks = Vec::new();
        // One batch may be in the thread's hands, beside a full queue.
        let refused = loop {
            match log.append(line(0)) {
                Ok(ack) => acks.push(ack),
                Err(refused) => break refused,
            }
            assert!(acks.len() <= caps::RECORD_QUEUE_MAX + caps::RECORD_BATCH_MAX, "the queue is bounded");
        };
        assert_eq!(refused, NotTaken);
        assert!(!*healthy.borrow());
        let draining = std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()).unwrap());
        acks.push(hanging.join().unwrap());
        (acks, draining)
    });
    let (acks, draining) = drained;
    for ack in acks {
        assert!(ack.written().await);
    }
    assert!(*healthy.borrow(), "it takes lines again");
    assert!(log.shared.wary.load(Ordering::Relaxed) <= WARY_LINES);
    drop(log);
    assert!(draining.join().unwrap() > 1 << 17);
}

#[tokio::test]
async fn after_a_slow_write_the_thread_writes_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(&folder.path().join("log")).unwrap();
    log.shared.wary.store(2, Ordering::Relaxed);
    for expected in [1, 0, 0] {
        assert!(log.append(line(0)).unwrap().written().await);
        assert_eq!(log.shared.wary.load(Ordering::Relaxed), expected);
    }
}

#[test]
fn one_slow_write_is_an_accident_and_two_are_a_slow_disk() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(&folder.path().join("log")).unwrap();
    let wary = || log.shared.wary.load(Ordering::Relaxed);
    log.shared.watch(2 * SLOW);
    (0..SUSPICIOUS_LINES).for_each(|_| log.shared.watch(SLOW / 2));
    log.shared.watch(2 * SLOW);
    assert_eq!(wary(), 0, "the first is forgotten");
    log.shared.watch(SLOW / 2);
    log.shared.watch(2 * SLOW);
    assert_eq!(wary(), WARY_LINES);
}

#[tokio::test]
async fn an_ack_tells_every_waiter() {
    let (ack, promise) = Ack::promised();
    let waiters: Vec<_> = (0..3).map(|_| ack.clone()).collect();
    let all = futures_util::future::join_all(waiters.iter().map(Ack::written));
    let settle = async { promise.settle(true) };
    let (told, ()) = tokio::join!(all, settle);
    assert_eq!(told, [true; 3]);
}

#[tokio::test]
async fn a_promise_that_is_dropped_is_a_lost_line() {
    let (ack, promise) = Ack::promised();
    drop(promise);
    assert!(!ack.written().await);
}
