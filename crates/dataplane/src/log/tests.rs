use std::fs;

use super::*;

fn line(number: usize) -> Vec<u8> {
    format!("{{\"n\":{number}}}\n").into_bytes()
}

#[tokio::test]
async fn a_line_is_in_the_file_when_its_ack_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let log = Log::open(&path).unwrap();
    for number in 0..100 {
        assert!(log.append(line(number)).unwrap().written().await);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.ends_with(&format!("{{\"n\":{number}}}\n")), "{text}");
    }
    assert_eq!(log.queued(), 0);
    log.close().unwrap();
    assert_eq!(log.append(line(0)).unwrap_err(), NotTaken);
}

#[tokio::test]
async fn closing_writes_everything_that_was_taken_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let log = Log::open(&path).unwrap();
    let acks: Vec<_> = (0..5_000).map(|number| log.append(line(number)).unwrap()).collect();
    log.close().unwrap();
    for ack in acks {
        assert!(ack.written().await);
    }
    let expected: Vec<u8> = (0..5_000).flat_map(line).collect();
    assert!(fs::read(&path).unwrap() == expected);
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
    let log = Log::open(Path::new("/dev/full")).unwrap();
    let healthy = log.healthy();
    assert!(*healthy.borrow());
    assert!(!log.append(line(0)).unwrap().written().await);
    assert!(!*healthy.borrow());
    assert!(log.close().is_err());
}

/// A pipe whose reader does not read is a disk that hangs.
#[tokio::test]
async fn a_hanging_disk_fills_the_queue_and_recovers() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let file = LogFile::from(std::fs::File::from(std::os::fd::OwnedFd::from(writer)));
    let log = Log::start(file).unwrap();
    let healthy = log.healthy();
    let big = vec![b'x'; 1 << 17];
    let mut acks = vec![log.append(big).unwrap()];
    // One batch may be in the thread's hands, beside a full queue.
    let refused = loop {
        match log.append(line(0)) {
            Ok(ack) => acks.push(ack),
            Err(refused) => break refused,
        }
        assert!(acks.len() <= caps::RECORD_QUEUE_MAX + caps::RECORD_BATCH_MAX + 1, "the queue is bounded");
    };
    assert_eq!(refused, NotTaken);
    assert!(!*healthy.borrow());
    let draining = std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()).unwrap());
    for ack in acks {
        assert!(ack.written().await);
    }
    assert!(*healthy.borrow(), "it takes lines again");
    drop(log);
    assert!(draining.join().unwrap() > 1 << 17);
}

#[tokio::test]
async fn an_ack_tells_every_waiter() {
    let ack = Ack::new();
    let waiters: Vec<_> = (0..3).map(|_| ack.clone()).collect();
    let all = futures_util::future::join_all(waiters.iter().map(Ack::written));
    let promise = ack.promise();
    let settle = async { promise.settle(true) };
    let (told, ()) = tokio::join!(all, settle);
    assert_eq!(told, [true; 3]);
}

#[tokio::test]
async fn a_promise_that_is_dropped_is_a_lost_line() {
    let ack = Ack::new();
    drop(ack.promise());
    assert!(!ack.written().await);
}
