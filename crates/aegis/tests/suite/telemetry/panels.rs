//! The queries of the dashboards, as Grafana would send them.

use std::fs;
use std::path::Path;

use serde_json::Value;

pub(super) struct Panel {
    dashboard: String,
    title: String,
    expr: String,
}

impl std::fmt::Debug for Panel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {}: {}", self.dashboard, self.title, self.expr)
    }
}

impl Panel {
    /// With every tenant chosen, over a short time.
    pub(super) fn query(&self) -> String {
        self.expr.replace("$tenant", ".*").replace("$__rate_interval", "20s").replace("[1h]", "[1m]")
    }
}

/// Every query of every panel below `folder`.
pub(super) fn of_all_dashboards(folder: &Path) -> Vec<Panel> {
    let mut panels = Vec::new();
    for file in fs::read_dir(folder).expect("the dashboards").map(|entry| entry.expect("a file").path()) {
        let text = fs::read_to_string(&file).expect("a file");
        let dashboard: Value = serde_json::from_str(&text).expect("a dashboard is JSON");
        let title = |value: &Value| value["title"].as_str().expect("a title").to_owned();
        for panel in dashboard["panels"].as_array().expect("panels").iter().filter(|it| it["type"] != "row") {
            let targets = panel["targets"].as_array().expect("targets");
            assert!(!targets.is_empty(), "{}", title(panel));
            assert!(!panel["description"].as_str().unwrap_or_default().is_empty(), "{}", title(panel));
            panels.extend(targets.iter().map(|target| Panel {
                dashboard: title(&dashboard),
                title: title(panel),
                expr: target["expr"].as_str().expect("a query").to_owned(),
            }));
        }
    }
    panels
}
