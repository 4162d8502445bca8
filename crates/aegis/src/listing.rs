//! Lists and single things of the admin API, as JSON as they came or as aligned columns.

use serde_json::{Value, json};

use crate::output::Output;

/// A column: its name, and what stands in it.
pub(crate) type Column = (&'static str, fn(&Value) -> String);

/// Prints `rows`: as JSON `{"items": [...]}`, as text a line each under `columns`, of which each names itself and takes its
/// text out of a row.
pub(crate) fn print(output: Output, rows: &[Value], columns: &[Column]) {
    output.result(&json!({ "items": rows }), || {
        let head = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        let body = rows.iter().map(|row| columns.iter().map(|(_, text)| text(row)).collect());
        aligned(&std::iter::once(head).chain(body).collect::<Vec<Vec<String>>>())
    });
}

fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width =
        |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |cells: &Vec<String>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A text of a row, without the place where it would have been if there is none.
pub(crate) fn text(row: &Value, name: &str) -> String {
    match &row[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let lines = [["NAME", "VERSION"], ["acme", "12"], ["globex-health", ""]];
        let lines: Vec<Vec<String>> =
            lines.iter().map(|line| line.iter().map(|cell| (*cell).to_owned()).collect()).collect();
        assert_eq!(aligned(&lines), "NAME           VERSION\nacme           12\nglobex-health");
    }

    #[test]
    fn a_missing_member_is_an_empty_text() {
        let row = serde_json::json!({"a": "x", "n": 3, "z": null});
        assert_eq!(
            (text(&row, "a"), text(&row, "n"), text(&row, "z"), text(&row, "q")),
            ("x".into(), "3".into(), String::new(), String::new())
        );
    }
}
