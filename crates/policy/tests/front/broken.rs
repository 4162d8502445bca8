//! Broken policies: each gets its problems at the right places, with help. One snapshot per file of `broken/`.

use std::path::Path;

use super::{check_one, rendered};

#[test]
fn each_broken_policy_is_explained() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/front/broken");
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
        .collect();
    names.sort();
    assert!(names.len() >= 30, "only {} broken policies", names.len());
    for name in names {
        let text = std::fs::read_to_string(folder.join(&name)).expect("a text");
        let checked = check_one(&name, &text);
        assert!(!checked.diagnostics.is_empty(), "{name} passes without a word");
        assert_eq!(checked.set.is_none(), checked.has_errors(), "{name}");
        for problem in &checked.diagnostics {
            assert!(
                !problem.help.is_empty() || !problem.label.is_empty(),
                "{name}: no help for {}",
                problem.message
            );
        }
        insta::with_settings!({ snapshot_path => "snapshots/broken", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name.as_str(), rendered(&checked));
        });
    }
}
