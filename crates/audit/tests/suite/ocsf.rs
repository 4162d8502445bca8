//! The events that are exported as OCSF validate against the published schema, where a Python with that schema is at hand:
//! `AEGIS_OCSF_PYTHON` names one that has the packages `ocsf-json-schema` and `jsonschema`.

use std::path::Path;
use std::process::Command;

fn validate(python: &str, events: &str) -> (bool, String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/siem");
    let input = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(input.path(), events).unwrap();
    let mut command = Command::new(python);
    command.arg(folder.join("validate.py")).stdin(input.reopen().unwrap());
    let ran = command.output().unwrap();
    let told = [ran.stdout, ran.stderr].concat();
    (ran.status.success(), String::from_utf8_lossy(&told).into_owned())
}

#[test]
fn every_kind_of_event_validates_against_the_published_schema() {
    let Ok(python) = std::env::var("AEGIS_OCSF_PYTHON") else {
        println!("AEGIS_OCSF_PYTHON names no Python with the published schema: nothing is validated");
        return;
    };
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/siem/ocsf.golden");
    let events = std::fs::read_to_string(golden).unwrap();
    let (valid, told) = validate(&python, &events);
    assert!(valid, "{told}");
    // The check itself: a field that the class does not have, and a type that is wrong.
    for (from, to) in
        [("\"class_uid\"", "\"more\":1,\"class_uid\""), ("\"class_uid\":6003", "\"class_uid\":\"x\"")]
    {
        assert!(!validate(&python, &events.replace(from, to)).0, "{to} passes");
    }
}
