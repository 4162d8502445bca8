//! Every form of every kind of record, against goldens. `AEGIS_GOLDENS=write` writes them anew.

use std::path::PathBuf;

use serde_json::Value;

use super::*;

/// Records of every kind, as a log holds them: one a line, after the log's name and the index.
fn records() -> Vec<(u64, String)> {
    let path = folder().join("records.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    (40..).zip(text.lines().map(str::to_owned)).collect()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/siem")
}

const ORIGIN: &str = "prod.example/data-1/7";

fn events(format: Format) -> Vec<String> {
    let event = |(index, record): &(u64, String)| {
        let placed = Placed { origin: ORIGIN, index: *index, record: record.as_bytes() };
        event(format, placed, "1.2.3").unwrap_or_else(|error| panic!("{error}: {record}"))
    };
    records().iter().map(event).collect()
}

#[test]
fn events_are_what_they_were() {
    for format in Format::ALL {
        let path = folder().join(format!("{format}.golden"));
        let made = events(format).join("\n") + "\n";
        if std::env::var("AEGIS_GOLDENS").is_ok_and(|mode| mode == "write") {
            std::fs::write(&path, &made).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            made,
            golden,
            "{} differs; look, and write it anew with AEGIS_GOLDENS=write",
            path.display()
        );
    }
}

#[test]
fn every_event_is_one_line_and_names_its_proof() {
    for format in Format::ALL {
        for ((index, record), event) in records().iter().zip(events(format)) {
            assert!(!event.contains(['\n', '\r']), "{format}: {event}");
            let leaf = tree::leaf(&Hash::of(record.as_bytes()).0).to_string();
            assert!(
                event.contains(&leaf) && event.contains(ORIGIN) && event.contains(&index.to_string()),
                "{event}"
            );
        }
    }
}

/// RFC 5424: a priority, a version, a moment of at most six decimals, names without spaces; RFC 5425: the length in bytes before it.
#[test]
fn a_message_of_syslog_has_its_head_and_its_length() {
    for (index, record) in records() {
        for format in Format::ALL {
            let placed = Placed { origin: ORIGIN, index, record: record.as_bytes() };
            let message = Message::of(format, placed, "1.2.3").unwrap();
            let parts: Vec<&str> = message.text.splitn(8, ' ').collect();
            let [head, moment, host, product, process, kind, data, body] = parts[..] else {
                panic!("{parts:?}")
            };
            let priority = head.strip_prefix('<').and_then(|head| head.strip_suffix(">1")).unwrap();
            assert!((104..=111).contains(&priority.parse::<u32>().unwrap()), "{head}");
            assert_eq!((moment.len(), moment.ends_with('Z'), host), (27, true, "data-1"));
            assert_eq!((product, process, data), ("aegis", "-", "-"));
            assert!(kind.len() <= 32 && kind.bytes().all(|byte| byte.is_ascii_graphic()));
            assert_eq!(body, event(format, placed, "1.2.3").unwrap());
            assert!(record.contains(&format!("\"chain\":\"{}\"", message.chain)));
            let mut framed = Vec::new();
            message.frame(&mut framed);
            let length = framed.iter().position(|byte| *byte == b' ').unwrap();
            let said: usize = std::str::from_utf8(&framed[..length]).unwrap().parse().unwrap();
            assert_eq!(said, framed.len() - length - 1);
        }
    }
}

#[test]
fn json_lines_hold_the_bytes_that_were_hashed() {
    for ((_, record), line) in records().iter().zip(events(Format::JsonLines)) {
        assert!(line.ends_with(&format!("\"record\":{record}}}")));
        serde_json::from_str::<Value>(&line).unwrap();
    }
}

/// What an agent or a policy says cannot begin another event or another field.
#[test]
fn hostile_texts_stay_within_their_fields() {
    let hostile = "x|y=z\\ \n\r\u{1b}[31m CEF:0|evil";
    let record = records()[0].1.clone();
    let mut value: Value = serde_json::from_str(&record).unwrap();
    value["what"]["decision"]["reasons"][0]["message"] = hostile.into();
    value["what"]["decision"]["rules"][0] = hostile.into();
    let text = value.to_string();
    let placed = Placed { origin: ORIGIN, index: 1, record: text.as_bytes() };
    let cef = event(Format::Cef, placed, "1|2").unwrap();
    assert!(!cef.contains(['\n', '\r', '\u{1b}']), "{cef}");
    let bars = cef.replace("\\|", "").matches('|').count();
    // Seven of the header, and those of the extension, where a bar means nothing.
    assert_eq!(bars - cef.rsplit_once("cs3=").unwrap().1.matches('|').count(), 7, "{cef}");
    assert!(cef.contains("cs3=x|y\\=z\\\\ \\n\\r"), "{cef}");
    for format in [Format::Ocsf, Format::Ecs, Format::JsonLines] {
        let line = event(format, placed, "1|2").unwrap();
        assert!(!line.contains(['\n', '\r', '\u{1b}']));
        serde_json::from_str::<Value>(&line).unwrap();
    }
}

#[test]
fn what_is_no_record_is_no_event() {
    for bad in ["{}", "x", "{\"at\":\"2026-11-23T05:16:00.000000001Z\"}"] {
        let placed = Placed { origin: ORIGIN, index: 0, record: bad.as_bytes() };
        assert!(event(Format::Ocsf, placed, "1").is_err());
    }
    assert!("xml".parse::<Format>().is_err());
    assert_eq!("json-lines".parse(), Ok(Format::JsonLines));
}

#[test]
fn what_carriers_want_to_know_is_what_the_record_says() {
    let carried: Vec<Event> = records()
        .iter()
        .map(|(index, record)| {
            let placed = Placed { origin: ORIGIN, index: *index, record: record.as_bytes() };
            Event::of(Format::JsonLines, placed, "1.2.3").unwrap()
        })
        .collect();
    for ((event, (index, record)), text) in carried.iter().zip(records()).zip(events(Format::JsonLines)) {
        let value: Value = serde_json::from_str(&record).unwrap();
        let what = &value["what"][event.kind.as_str()];
        assert_eq!((event.index, &event.text), (index, &text));
        assert_eq!(event.leaf, tree::leaf(&Hash::of(record.as_bytes()).0));
        assert_eq!(event.chain, value["chain"].as_str().unwrap());
        assert_eq!(event.tenant.as_deref(), event.chain.strip_prefix("tenant/"));
        assert!(value["at"].as_str().unwrap().starts_with(&event.day) && event.day.len() == 10);
        let trace =
            event.trace.map(|trace| trace.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        assert_eq!(trace.as_deref(), what["trace_id"].as_str());
        let expected = match (event.kind.as_str(), what["outcome"].as_str(), what["result"].as_str()) {
            ("gap", ..) => Severity::Error,
            ("refusals", ..) | ("decision", Some("deny"), _) => Severity::Warning,
            ("decision", Some("sanitize" | "approval_required"), _) | (_, _, Some("failed")) => {
                Severity::Notice
            }
            _ => Severity::Information,
        };
        assert_eq!(event.severity, expected, "{record}");
    }
    assert!(carried.iter().any(|event| event.trace.is_some()), "some record has a trace");
    assert!(carried.iter().any(|event| event.severity == Severity::Warning));
}
