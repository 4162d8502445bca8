//! The whole program against its own echo, briefly, on loopback ports that the kernel gives.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use serde_json::Value;

fn loadtest(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aegis-loadtest"));
    command.env_remove("AEGIS_OPA").env_remove("AEGIS_PROGRAM");
    command.args(arguments).output().expect("the program was built with this test")
}

#[test]
fn an_echo_is_measured_end_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let (json, svg) = (folder.path().join("report.json"), folder.path().join("plot.svg"));
    let output = loadtest(&[
        "run",
        "echo",
        "--rates",
        "200",
        "--seconds",
        "0.5",
        "--warm-up",
        "0.1",
        "--connections",
        "2",
        "--output",
        "figures",
        "--json",
        json.to_str().unwrap(),
        "--svg",
        svg.to_str().unwrap(),
    ]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");

    let report: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "one at the rate, one at full load");
    assert_eq!((&rows[0]["answered"], &rows[0]["outcomes"]["echo"]), (&Value::from(100), &Value::from(100)));
    assert!(rows[0]["latency"]["p50"].as_f64().unwrap() > 0.0);
    assert!(rows[1]["answered"].as_u64().unwrap() > 100, "a server asked without pause answers more");
    assert!(rows[1]["cpu_us"].as_f64().unwrap() > 0.0, "and its process was the one that was looked at");
    assert_eq!(report["lifetimes"][0]["name"], "echo");
    assert!(std::fs::read_to_string(svg).unwrap().starts_with("<svg "));

    let figures = String::from_utf8(output.stdout).unwrap();
    let names: Vec<Value> =
        figures.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["name"].clone()).collect();
    assert!(names.contains(&Value::from("echo/200/cpu")), "{figures}");
}

#[test]
fn what_cannot_be_measured_is_said() {
    let output = loadtest(&["run", "decide", "--aegis", "/nonexistent/aegis"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is `/nonexistent/aegis` built?"));

    let output = loadtest(&["run", "echo", "--rates", "0"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_node_that_does_not_start_is_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let aegis = folder.path().join("aegis");
    std::fs::write(&aegis, "#!/bin/sh\necho no node here >&2\nexit 1\n").unwrap();
    std::fs::set_permissions(&aegis, Permissions::from_mode(0o755)).unwrap();
    let output = loadtest(&["run", "decide", "--aegis", aegis.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no node here"));
}
