//! JSON Pointers (RFC 6901).

/// Appends `token` to `pointer`, escaping `~` and `/`.
///
/// ```
/// let mut pointer = String::from("/params");
/// aegis_model::json::pointer_push(&mut pointer, "a/b~c");
/// assert_eq!(pointer, "/params/a~1b~0c");
/// ```
pub fn pointer_push(pointer: &mut String, token: &str) {
    pointer.push('/');
    for character in token.chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}
