//! The records of a journal as tests look at them: one flat JSON object each. Also used by the tests of whole nodes.

use std::path::Path;

use aegis_audit::journal::SystemDisk;
use aegis_audit::read;
use serde_json::{Value, json};

/// Every record of tenants and of the node in all logs below `journal`, in their order. `kind` says what it is, `tenant` whose,
/// `index` where it stands; beside them stand the members of the record and of what it says.
pub(crate) fn lines(journal: &Path) -> Vec<Value> {
    let names =
        std::fs::read_dir(journal).expect("the journal's folder").map(|entry| entry.unwrap().file_name());
    let mut lives: Vec<u64> = names.filter_map(|name| name.to_str()?.parse().ok()).collect();
    lives.sort_unstable();
    let records = lives.iter().flat_map(|life| {
        read::newest(&SystemDisk, &journal.join(life.to_string()), usize::MAX).expect("the log can be read")
    });
    records.filter_map(|(index, bytes)| line(index, &bytes)).collect()
}

fn line(index: u64, bytes: &[u8]) -> Option<Value> {
    let mut record: Value = serde_json::from_slice(bytes).expect("a record is JSON");
    let Value::Object(what) = record["what"].take() else { panic!("{record}") };
    let (kind, Value::Object(mut line)) = what.into_iter().next().expect("a record says something") else {
        panic!("{record}")
    };
    let chain = record["chain"].as_str().expect("a chain").to_owned();
    if chain == "log" {
        return None;
    }
    if let Some(tenant) = chain.strip_prefix("tenant/") {
        line.insert("tenant".to_owned(), tenant.into());
    }
    for (name, value) in [("kind", kind.into()), ("index", json!(index)), ("chain", chain.clone().into())] {
        line.insert(name.to_owned(), value);
    }
    for name in ["at", "seq", "id"] {
        line.insert(name.to_owned(), record[name].take());
    }
    Some(Value::Object(line))
}
