//! A token's scope: space-separated globs `tool:action`, judged before any policy.

use crate::ids::{ActionName, AgentId, ToolName};

/// The scope of a token. An empty scope permits nothing.
///
/// An item is split at its **last** colon into a tool glob and an action glob; `*` stands for any run of
/// characters and nothing else is special. An item without a colon permits no call (`settle`, …).
/// Two namespaces are reserved and permit no call: `aegis:…` (rights at Aegis itself, such as
/// `aegis:explain`) and `assert:AGENT` (may ask on behalf of that agent).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    items: Vec<String>,
}

impl Scope {
    /// Reads the `scope` claim. Never fails: an item of another form simply permits nothing.
    pub fn parse(claim: &str) -> Self {
        Self { items: claim.split(' ').filter(|item| !item.is_empty()).map(str::to_owned).collect() }
    }

    /// Whether the scope covers a call of `tool` with `action`.
    pub fn permits(&self, tool: &ToolName, action: &ActionName) -> bool {
        self.items.iter().any(|item| match item.rsplit_once(':') {
            Some((tool_glob, action_glob)) if !is_reserved(item) => {
                glob_matches(tool_glob, tool.as_str()) && glob_matches(action_glob, action.as_str())
            }
            Some(_) | None => false,
        })
    }

    /// Whether the scope holds the plain right `name`, e.g. `aegis:explain`.
    pub fn has(&self, name: &str) -> bool {
        self.items.iter().any(|item| item == name)
    }

    /// Whether the bearer may ask on behalf of `agent` (`assert:GLOB`).
    pub fn may_assert(&self, agent: &AgentId) -> bool {
        self.items
            .iter()
            .filter_map(|item| item.strip_prefix("assert:"))
            .any(|glob| glob_matches(glob, agent.as_str()))
    }

    /// The items, in the order of the claim.
    pub fn items(&self) -> impl Iterator<Item = &str> {
        self.items.iter().map(String::as_str)
    }

    /// What both scopes cover, as far as items of one lie within the other: the items of each that are.
    #[must_use]
    pub fn shared_with(&self, other: &Scope) -> Scope {
        let within = |item: &&String, wider: &Scope| wider.items.iter().any(|it| covers(it, item));
        let mut items: Vec<String> =
            self.items.iter().filter(|item| within(item, other)).map(String::clone).collect();
        for item in other.items.iter().filter(|item| within(item, self)) {
            if !items.contains(item) {
                items.push(item.clone());
            }
        }
        Scope { items }
    }

    /// Whether it permits nothing at all.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether every item is covered by an item of `parent`: as a text equal to it, or matched by its globs.
    ///
    /// A reserved item is covered only from its own namespace: `*:*` covers calls, not `aegis:explain`.
    pub fn is_within(&self, parent: &Scope) -> bool {
        self.items.iter().all(|item| parent.items.iter().any(|wider| covers(wider, item)))
    }
}

/// Whether `item` belongs to a namespace whose rights are not calls.
fn is_reserved(item: &str) -> bool {
    item.starts_with("aegis:") || item.starts_with("assert:")
}

fn covers(wider: &str, item: &str) -> bool {
    if wider == item {
        return true;
    }
    if let (Some(wide_agent), Some(agent)) = (wider.strip_prefix("assert:"), item.strip_prefix("assert:")) {
        return glob_matches(wide_agent, agent);
    }
    if is_reserved(wider) || is_reserved(item) {
        return false;
    }
    match (wider.rsplit_once(':'), item.rsplit_once(':')) {
        (Some((wide_tool, wide_action)), Some((tool, action))) => {
            glob_matches(wide_tool, tool) && glob_matches(wide_action, action)
        }
        _ => false,
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.items.join(" "))
    }
}

/// Whether `text` matches `glob`, in which `*` stands for any run of characters and nothing else is special.
///
/// Linear in `glob.len() * text.len()` at worst, without recursion: a star remembers where to try again.
pub fn glob_matches(glob: &str, text: &str) -> bool {
    let (glob, text) = (glob.as_bytes(), text.as_bytes());
    let (mut at, mut seen) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while seen < text.len() {
        if at < glob.len() && glob[at] == b'*' {
            retry = Some((at, seen));
            at += 1;
        } else if at < glob.len() && glob[at] == text[seen] {
            at += 1;
            seen += 1;
        } else if let Some((star, from)) = retry {
            retry = Some((star, from + 1));
            at = star + 1;
            seen = from + 1;
        } else {
            return false;
        }
    }
    glob[at..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(scope: &str, tool: &str, action: &str) -> bool {
        Scope::parse(scope).permits(&tool.parse().unwrap(), &action.parse().unwrap())
    }

    #[test]
    fn an_item_splits_at_its_last_colon() {
        assert!(permits("stripe:*", "stripe", "create"));
        assert!(!permits("stripe:*", "stripe:eu", "create"), "a tool with a colon is another tool");
        assert!(permits("stripe:eu:create", "stripe:eu", "create"));
        assert!(permits("*:*", "anything", "call"));
    }

    #[test]
    fn nothing_is_permitted_without_an_item() {
        assert!(!permits("", "a", "call"));
        assert!(!permits("a", "a", "call"));
        assert!(!permits("aegis:* assert:*", "aegis", "explain"));
        assert!(!permits("assert:a:b", "assert:a", "b"), "an agent's name may hold a colon");
    }

    #[test]
    fn globs_know_only_the_star() {
        assert!(glob_matches("a*c", "abbbc") && glob_matches("*", "") && glob_matches("a*b*c", "a-b-b-c"));
        assert!(!glob_matches("a?c", "abc") && !glob_matches("[a]", "a") && !glob_matches("a*c", "abd"));
    }

    #[test]
    fn a_scope_is_never_wider_than_its_parent() {
        let parent = Scope::parse("stripe:* github:read");
        assert!(Scope::parse("stripe:create").is_within(&parent));
        assert!(!Scope::parse("github:*").is_within(&parent));
        assert!(!Scope::parse("settle").is_within(&parent));
    }

    #[test]
    fn what_two_scopes_share_is_within_both() {
        let shared = |one: &str, other: &str| {
            let (one, other) = (Scope::parse(one), Scope::parse(other));
            let shared = one.shared_with(&other);
            assert!(shared.is_within(&one) && shared.is_within(&other));
            shared.to_string()
        };
        assert_eq!(shared("stripe:* github:read", "stripe:pay crm:*"), "stripe:pay");
        assert_eq!(shared("*:*", "stripe:pay aegis:explain"), "stripe:pay");
        assert_eq!(shared("a:b assert:x", "a:b assert:*"), "a:b assert:x");
        assert!(Scope::parse("a:b").shared_with(&Scope::parse("c:d")).is_empty());
    }

    #[test]
    fn a_scope_of_calls_covers_no_reserved_right() {
        let within = |item: &str, parent: &str| Scope::parse(item).is_within(&Scope::parse(parent));
        assert!(!within("aegis:explain", "*:*") && !within("assert:billing", "*:*"));
        assert!(!within("assert:a:b", "*:*") && !within("aegis:explain", "aegis:*"));
        assert!(within("aegis:explain", "*:* aegis:explain"));
        assert!(within("assert:billing", "assert:b*") && !within("assert:*", "assert:b*"));
    }
}
