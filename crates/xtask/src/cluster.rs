//! `cargo xtask cluster`: three control nodes and three data nodes as plain processes of this machine.
//!
//! ```text
//! DIR/certs/            an authority for development, certificates, the cluster key
//! DIR/NODE.toml         the configuration of each node
//! DIR/NODE/             its data
//! DIR/NODE.log, .pid    what it says, and its process
//! DIR/admin.token       the token of the first person
//! ```

mod layout;
mod processes;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use layout::{Layout, NAMES_CONTROL, NAMES_DATA};
use processes::{Program, Running};

/// The demo tenant.
const TENANT: &str = "demo";

/// How long the cluster may take until it serves.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// Starts the cluster in `dir`, or goes on with the one that is there; `say` gets what a user wants to read.
///
/// # Errors
/// A program cannot be run, or something does not become ready in time.
pub fn up(root: &Path, dir: &Path, program: &Path, say: &dyn Fn(&str)) -> anyhow::Result<()> {
    let program = Program::new(program)?;
    let layout = Layout::prepare(dir, &program)?;
    let [first, others @ ..] = NAMES_CONTROL;
    if !layout.token_file().exists() {
        let (config, token) = (layout.config(first), layout.token_file());
        program.run(&["cluster", "init", "--config", text(&config)?, "--token-file", text(&token)?])?;
    }
    for name in NAMES_CONTROL {
        processes::start(&program, &layout, "control", name)?;
    }
    let admin = Admin { program: &program, layout: &layout };
    admin.until_ready("the first control node", &["cluster", "status"])?;
    for name in others {
        let address = layout.control_grpc(name)?;
        admin.until_ready(name, &["cluster", "add", name, &address])?;
        say(&format!("{name} takes part"));
    }
    for name in NAMES_DATA {
        processes::start(&program, &layout, "data", name)?;
    }
    give_work(root, &admin)?;
    say(&admin.run(&["cluster", "status"])?);
    tell(&admin, say)
}

/// The demo tenant with the payments example in force.
fn give_work(root: &Path, admin: &Admin<'_>) -> anyhow::Result<()> {
    let known = admin.json(&["tenant", "list"])?;
    let known = known["items"].as_array().is_some_and(|rows| rows.iter().any(|row| row["name"] == TENANT));
    if !known {
        admin.run(&["tenant", "create", TENANT])?;
        admin.run(&["agent", "create", "finance-agent", "--tenant", TENANT])?;
    }
    let payments = root.join("examples/payments");
    let publish = ["policy", "publish", text(&payments)?, "--tenant", TENANT, "--activate", "--wait", "30s"];
    admin.until_ready("the data nodes", &publish)?;
    Ok(())
}

fn tell(admin: &Admin<'_>, say: &dyn Fn(&str)) -> anyhow::Result<()> {
    let mint = ["token", "mint", "--tenant", TENANT, "--agent", "finance-agent", "--scope", "*:*"];
    let token = admin.run(&mint)?;
    let data = admin.layout.data_http(NAMES_DATA[0])?;
    let call = r#"{"tool": "stripe-payments", "action": "create_payment", "params": {"amount": 4999, "currency": "eur", "vendor": "acme"}}"#;
    let options: Vec<String> = admin.options()?.iter().map(|option| (*option).clone()).collect();
    say(&format!(
        "\nA call to paste:\n\n  curl -s http://{data}/v1/decide -H 'Authorization: Bearer {}' -H 'Content-Type: application/json' -d '{call}'\n\n\
         To administer it:\n\n  aegis cluster status {}\n",
        token.trim(),
        options.join(" ")
    ));
    Ok(())
}

/// Ends every process of the cluster in `dir`; its files stay.
///
/// # Errors
/// A process does not end.
pub fn down(dir: &Path, say: &dyn Fn(&str)) -> anyhow::Result<()> {
    // Data nodes first: they follow the others.
    let mut running = Vec::new();
    for name in NAMES_DATA.iter().chain(&NAMES_CONTROL) {
        if let Some(process) = Running::find(dir, name)? {
            process.terminate()?;
            running.push(process);
        }
    }
    for process in &running {
        process.wait_end()?;
        say(&format!("{} has ended", process.name()));
    }
    if running.is_empty() {
        say("nothing was running");
    }
    Ok(())
}

/// Says which processes run, and how the cluster is.
///
/// # Errors
/// The cluster cannot be asked.
pub fn status(dir: &Path, program: &Path, say: &dyn Fn(&str)) -> anyhow::Result<()> {
    for name in NAMES_CONTROL.iter().chain(&NAMES_DATA) {
        match Running::find(dir, name)? {
            Some(process) => say(&format!("{name}: process {}", process.id())),
            None => say(&format!("{name}: not running")),
        }
    }
    let (program, layout) = (Program::new(program)?, Layout::of(dir)?);
    let admin = Admin { program: &program, layout: &layout };
    say(&admin.run(&["cluster", "status"])?);
    Ok(())
}

/// The command line as the cluster's first person.
struct Admin<'a> {
    program: &'a Program,
    layout: &'a Layout,
}

impl Admin<'_> {
    fn options(&self) -> anyhow::Result<Vec<String>> {
        let ca = self.layout.certs().join("ca.pem");
        Ok(vec![
            "--server".to_owned(),
            self.layout.servers()?,
            "--server-ca".to_owned(),
            text(&ca)?.to_owned(),
            "--person-token-file".to_owned(),
            text(&self.layout.token_file())?.to_owned(),
        ])
    }

    fn run(&self, command: &[&str]) -> anyhow::Result<String> {
        let options = self.options()?;
        let all: Vec<&str> = command.iter().copied().chain(options.iter().map(String::as_str)).collect();
        self.program.run(&all)
    }

    fn json(&self, command: &[&str]) -> anyhow::Result<Value> {
        let told = self.run(&[command, &["--output", "json"]].concat())?;
        serde_json::from_str(&told).with_context(|| format!("`aegis {}` gave no JSON", command.join(" ")))
    }

    /// Tries again until it is done.
    fn until_ready(&self, what: &str, command: &[&str]) -> anyhow::Result<String> {
        #[expect(clippy::disallowed_methods, reason = "a deadline of processes is real time")]
        let began = Instant::now();
        loop {
            match self.run(command) {
                Ok(told) => return Ok(told),
                Err(error) if began.elapsed() > PATIENCE => {
                    return Err(error.context(format!("waiting for {what}")));
                }
                Err(_not_yet) => std::thread::sleep(PAUSE),
            }
        }
    }
}

fn text(path: &Path) -> anyhow::Result<&str> {
    match path.to_str() {
        Some(text) => Ok(text),
        None => bail!("`{}` is not UTF-8", path.display()),
    }
}
