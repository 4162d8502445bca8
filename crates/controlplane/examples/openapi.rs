//! Prints the OpenAPI document of the admin API, as a control node serves it at `/admin/v1/openapi.json`.

use std::io::Write;

fn main() -> std::io::Result<()> {
    let document = aegis_controlplane::admin::rest::openapi_document();
    let text = document.to_pretty_json().map_err(std::io::Error::other)?;
    std::io::stdout().lock().write_all(text.as_bytes())
}
