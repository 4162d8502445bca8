//! The table in `docs/detectors.md` is what the code says; `cargo run -p aegis-dlp --example detectors` prints it.

use aegis_dlp::kind::Kind;

#[test]
fn the_table_of_the_manual_is_complete() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/detectors.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let wanted: Vec<String> = Kind::all()
        .map(|kind| {
            let about = kind.about().unwrap();
            let (name, group) = (about.name, about.group.name());
            format!("| `{name}` | `{group}` | {} | {} | {} |", about.title, about.source, about.check)
        })
        .collect();
    assert_eq!(rows, wanted);
}
