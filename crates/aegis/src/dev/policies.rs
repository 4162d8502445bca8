//! The policies of `aegis dev`: from the folder into the node, and the last good version when an edit is broken.

use std::path::{Path, PathBuf};

use aegis_dataplane::node::Node;
use aegis_dataplane::snapshot::Snapshot;
use aegis_model::decision::PolicyRef;
use aegis_policy::ast::{PolicySet, SourceFile};
use aegis_policy::tests_file::PolicyTest;
use anyhow::Context;
use serde_json::json;
use tokio::time::Instant;

use super::tenant;
use crate::enforced::{Enforced, Offered};
use crate::output::{Output, Tone};
use crate::policy::{Loaded, of_sources, read_tests};
use crate::problems::Problems;
use crate::sources::{self, Sources};
use crate::state::{DataDir, LastGood};

/// What stands for the folder where there is none.
const BUILT_IN: &str = "built-in demo policy";

/// The policy folder and what is in force.
#[derive(Debug)]
pub(super) struct Policies {
    /// `None`: the built-in demo.
    folder: Option<PathBuf>,
    enforced: Enforced,
    data_dir: DataDir,
    /// What was seen at the last look, so that the same problems are not told twice.
    seen: Option<Result<Sources, Vec<String>>>,
}

/// What is in force at the start.
#[derive(Debug)]
pub(super) struct First {
    pub(super) place: String,
    pub(super) policy: PolicyRef,
    pub(super) set: PolicySet,
    pub(super) tests: Vec<PolicyTest>,
}

/// What became of the folder's content.
enum Look {
    /// It will be in force with the next snapshot.
    Taken(PolicyRef, Box<Loaded>),
    /// It is in force already.
    Same,
    /// It is as it was at the last look.
    Unchanged,
    /// It is broken; why was printed.
    Broken,
}

impl Policies {
    pub(super) fn new(folder: Option<PathBuf>, enforced: Enforced, data_dir: DataDir) -> Self {
        Self { folder, enforced, data_dir, seen: None }
    }

    /// Loads the folder, or the last good version of the same folder. Nothing: both are missing or broken.
    ///
    /// # Errors
    /// The data directory cannot be written.
    pub(super) fn load_first(&mut self, output: Output) -> anyhow::Result<Option<First>> {
        let (policy, loaded) = match self.look(output)? {
            Look::Taken(policy, loaded) => (policy, *loaded),
            Look::Same | Look::Unchanged | Look::Broken => match self.load_last_good()? {
                Some((policy, loaded)) => {
                    output.problem(format!(
                        "policy version {}, the last good one, is in force",
                        policy.version
                    ));
                    (policy, loaded)
                }
                None => return Ok(None),
            },
        };
        let place = self.place();
        let tests = match read_tests(&place, loaded.tests) {
            Ok(tests) => tests.tests,
            // They only serve to find calls to show.
            Err(problems) => {
                problems.print(output);
                Vec::new()
            }
        };
        Ok(Some(First { place: place.display().to_string(), policy, set: loaded.set, tests }))
    }

    /// Everything in force, if it changed since the last time.
    pub(super) fn snapshot(&mut self) -> Option<Snapshot> {
        self.enforced.snapshot()
    }

    /// Looks at the folder again, and puts it into force at `node` if it is sound. Works on a thread of its own, so
    /// that calls are answered meanwhile.
    ///
    /// # Errors
    /// The work panicked, or the node refused to go on from what it enforces.
    pub(super) async fn reload(mut self, node: &Node, output: Output) -> anyhow::Result<Self> {
        let began = Instant::now();
        let work = tokio::task::spawn_blocking(move || {
            let look = self.look(output);
            (self, look)
        });
        let (mut policies, look) = work.await.context("looking at the policy folder")?;
        if let Some(snapshot) = policies.snapshot() {
            node.swap(snapshot)?;
        }
        match look {
            Ok(Look::Taken(policy, _)) => tell_live(&policy, began, output),
            Ok(Look::Same) => policies.tell_again(output),
            Ok(Look::Unchanged) => {}
            Ok(Look::Broken) => policies.tell_kept(output),
            Err(error) => {
                output.error(&error);
                policies.tell_kept(output);
            }
        }
        Ok(policies)
    }

    fn place(&self) -> PathBuf {
        self.folder.clone().unwrap_or_else(|| PathBuf::from(BUILT_IN))
    }

    fn look(&mut self, output: Output) -> anyhow::Result<Look> {
        let place = self.place();
        let sources = match &self.folder {
            Some(folder) => sources::read(folder),
            None => Ok(built_in(&place)),
        };
        if self.seen.as_ref() == Some(&sources) {
            return Ok(Look::Unchanged);
        }
        self.seen = Some(sources.clone());
        let loaded =
            sources.map_err(|unreadable| Problems::unreadable(&place, unreadable)).and_then(of_sources);
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(problems) => {
                problems.print(output);
                return Ok(Look::Broken);
            }
        };
        let look = self.offer(&place, loaded, output)?;
        if let Look::Taken(_, loaded) = &look
            && let Err(error) = self.keep(&place, loaded)
        {
            // It is in force all the same; only the next start would miss it.
            output.error(&error);
        }
        Ok(look)
    }

    fn offer(&mut self, place: &Path, loaded: Loaded, output: Output) -> anyhow::Result<Look> {
        match self.enforced.offer(&tenant(), &loaded.set)? {
            Offered::Taken(policy) => {
                loaded.warnings.print(output);
                Ok(Look::Taken(policy, Box::new(loaded)))
            }
            Offered::Same => Ok(Look::Same),
            Offered::Refused(diagnostics) => {
                Problems::found(place, &loaded.set.files, diagnostics, 0).print(output);
                Ok(Look::Broken)
            }
        }
    }

    /// Keeps what was just taken as the last good version.
    fn keep(&self, place: &Path, loaded: &Loaded) -> anyhow::Result<()> {
        let files = loaded.set.files.iter().chain(&loaded.tests);
        let files = files.map(|file| (file.path.clone(), file.text.to_string())).collect();
        self.data_dir.write_last_good(&LastGood { folder: identity(place), files })
    }

    fn load_last_good(&mut self) -> anyhow::Result<Option<(PolicyRef, Loaded)>> {
        let place = self.place();
        let Some(last) = self.data_dir.last_good().filter(|last| last.folder == identity(&place)) else {
            return Ok(None);
        };
        let files = last.files.into_iter().map(|(path, text)| SourceFile { path, text: text.into() });
        let (tests, policy) = files.partition(|file| {
            aegis_policy::sources::FileKind::of(&file.path) == aegis_policy::sources::FileKind::Test
        });
        let Ok(loaded) = of_sources(Sources { place, policy, tests }) else { return Ok(None) };
        match self.enforced.offer(&tenant(), &loaded.set)? {
            Offered::Taken(policy) => Ok(Some((policy, loaded))),
            Offered::Same | Offered::Refused(_) => Ok(None),
        }
    }

    fn version(&self) -> u64 {
        self.enforced.policy(&tenant()).map_or(0, |policy| policy.version)
    }

    fn tell_kept(&self, output: Output) {
        let version = self.version();
        if output.is_json() {
            output.line(json!({"event": "policy_kept", "version": version}));
        }
        output.problem(format!("policy version {version} stays in force"));
    }

    /// The folder holds again what is in force.
    fn tell_again(&self, output: Output) {
        let version = self.version();
        output.result(&json!({"event": "policy_same", "version": version}), || {
            format!("policy version {version} is what the folder holds again")
        });
    }
}

fn tell_live(policy: &PolicyRef, began: Instant, output: Output) {
    let millis = began.elapsed().as_millis();
    let told = json!({"event": "policy_live", "policy": policy, "load_ms": u64::try_from(millis).unwrap_or(u64::MAX)});
    output.result(&told, || {
        let head = output.paint(&format!("policy version {} is live", policy.version), Tone::Good);
        format!("{head} (activation {}, loaded in {millis} ms)", policy.activation)
    });
}

/// The folder without links, where it is there: the name under which the last good version is kept.
fn identity(place: &Path) -> PathBuf {
    place.canonicalize().unwrap_or_else(|_| place.to_path_buf())
}

/// The policy that the documentation begins with, and its tests.
fn built_in(place: &Path) -> Sources {
    let file = |path: &str, text: &str| SourceFile { path: path.to_owned(), text: text.into() };
    Sources {
        place: place.to_path_buf(),
        policy: vec![file("policy.yaml", include_str!("demo/policy.yaml"))],
        tests: vec![file("policy_test.yaml", include_str!("demo/policy_test.yaml"))],
    }
}
