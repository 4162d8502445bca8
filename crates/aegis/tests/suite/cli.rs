//! What every command has in common: help, exit codes, formats, completions, the pages of reason codes.

use serde_json::json;

use crate::support::{aegis, finish, run};

#[test]
fn the_help_of_the_command() {
    let help = run(&["--help"]);
    assert_eq!(help.code, Some(0));
    insta::assert_snapshot!(help.stdout);
}

#[test]
fn wrong_use_is_exit_code_2_and_says_what_is_wrong() {
    for (arguments, told) in [
        (&["polcy"][..], "a similar subcommand exists: 'policy'"),
        (&["policy", "check"], "required arguments were not provided"),
        (&["policy", "eval", ".", "--agent", "a b", "--tool", "t"], "a agent name has 1 to 128 characters"),
        (
            &["policy", "eval", ".", "--agent", "a", "--tool", "t", "--params", "{\"a\":1,\"a\":2}"],
            "--params",
        ),
        (&["policy", "eval", ".", "--agent", "a", "--tool", "t", "--at", "noon"], "write a moment as"),
        (&["dev", "--listen-http", "0.0.0.0:7080"], "listens on loopback addresses only"),
        (&["dev", "--listen-metrics", "192.0.2.1:7090"], "listens on loopback addresses only"),
        (&["explain", "BudgetExeeded"], "a similar value exists: 'BudgetExceeded'"),
        (&["decide", "--tool", "t", "--token", "x", "--params", "[1]"], "--params"),
        (&["data", "--config", "no-such-file.toml", "--log", "=bad="], "is not a filter"),
    ] {
        let ran = run(arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(told) && ran.stdout.is_empty(), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn errors_are_json_where_that_is_asked_for() {
    let ran = run(&["config", "show", "--config", "no-such-file.toml", "--output", "json"]);
    assert_eq!(ran.code, Some(1));
    let told: serde_json::Value = serde_json::from_str(&ran.stderr).expect("JSON");
    assert!(told["error"].as_str().expect("a text").contains("no-such-file.toml"), "{told}");
}

#[test]
fn a_reason_code_is_explained_in_whatever_case() {
    let ran = run(&["explain", "parameteroutofrange"]);
    assert_eq!(ran.code, Some(0));
    assert!(
        ran.stdout.starts_with("ParameterOutOfRange\n") && ran.stdout.contains("\nWhat it means\n"),
        "{ran:?}"
    );
    assert!(!ran.stdout.contains("```") && !ran.stdout.contains("##"), "{ran:?}");
    let told = run(&["explain", "Overloaded", "--output", "json"]).json();
    assert_eq!(told["retryable"], json!(true));
    assert!(told["page"].as_str().expect("a page").starts_with("# Overloaded"));
}

#[test]
fn the_configuration_shown_is_the_effective_one() {
    let ran = finish(aegis().args(["config", "show"]).env("AEGIS_LISTEN_HTTP", "127.0.0.1:1234"));
    assert_eq!(ran.code, Some(0));
    let shown: toml::Table = ran.stdout.parse().expect("TOML");
    assert_eq!(shown["listen_http"].as_str(), Some("127.0.0.1:1234"));
    assert_eq!(shown["listen_grpc"].as_str(), Some("127.0.0.1:7081"));
    // The command line goes before the environment.
    let mut typed = aegis();
    typed
        .args(["config", "show", "--listen-http", "127.0.0.1:99"])
        .env("AEGIS_LISTEN_HTTP", "127.0.0.1:1234");
    assert!(finish(&mut typed).stdout.contains("127.0.0.1:99"));
}

#[test]
fn completions_for_every_shell_name_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run(&["completions", shell]);
        assert_eq!(ran.code, Some(0));
        assert!(ran.stdout.contains("policy") && ran.stdout.contains("explain"), "{shell}");
    }
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let program = env!("CARGO_BIN_EXE_aegis");
    let script =
        format!("{program} explain --help | head -n 1 >/dev/null; {program} completions bash | head -n 1");
    let ran = finish(std::process::Command::new("sh").arg("-c").arg(script));
    assert!(!ran.stderr.contains("panic"), "{ran:?}");
}
