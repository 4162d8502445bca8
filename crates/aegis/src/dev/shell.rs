//! Commands that can be pasted into a shell as they are printed.

use std::path::Path;

/// How this program is called: by its name if the shell finds exactly it, else by its path. And whether by name.
pub(super) fn program() -> (String, bool) {
    let current =
        std::env::current_exe().and_then(|path| path.canonicalize()).unwrap_or_else(|_| "aegis".into());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let first =
        std::env::split_paths(&path).map(|folder| folder.join("aegis")).find(|candidate| candidate.is_file());
    match first.and_then(|found| found.canonicalize().ok()) {
        Some(found) if found == current => ("aegis".to_owned(), true),
        _ => (quoted_path(&current), false),
    }
}

/// `path` as one word of a shell.
pub(super) fn quoted_path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// `text` as one word of a POSIX shell.
pub(super) fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-:=@%+,".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for text in
            ["plain-1.2/x", "", "a b", r#"{"amount":1,"note":"it's $HOME `x` \\"}"#, "*", "~", "!x", "ä\n"]
        {
            let output =
                Command::new("sh").arg("-c").arg(format!("printf %s {}", quoted(text))).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
        }
    }
}
