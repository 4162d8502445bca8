//! Prints the table of kinds that stands in `docs/detectors.md`.

use aegis_dlp::kind::Kind;

#[expect(clippy::print_stdout, reason = "printing is what it is for")]
fn main() {
    println!("| name | group | what it is | source | *strict* checks |");
    println!("|---|---|---|---|---|");
    for kind in Kind::all() {
        let about = kind.about().expect("built in");
        let (name, group) = (about.name, about.group.name());
        println!("| `{name}` | `{group}` | {} | {} | {} |", about.title, about.source, about.check);
    }
}
