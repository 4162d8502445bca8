//! The kinds of sensitive data there are, by the names that policies use.

use std::fmt;

use crate::detectors::DETECTORS;
use crate::secrets::VENDORS;

/// A kind of sensitive data. Those of a tenant's own detectors have numbers behind the built-in ones, in the order in
/// which a scanner was given them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub(crate) u16);

/// What kinds have in common. The names of groups stand for all their members wherever detectors are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Names a person or is a person's number.
    Personal,
    /// Moves money.
    Financial,
    /// Speaks of health or care.
    Health,
    /// Names a device or a place in a network.
    Network,
    /// Opens something: keys, tokens, passwords.
    Secrets,
}

/// What is known of a built-in kind.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// Its name in policies: lower-case letters, digits and `_`. Never changes.
    pub name: &'static str,
    /// The group that it belongs to.
    pub group: Group,
    /// What it is, for people.
    pub title: &'static str,
    /// Where its form is defined.
    pub source: &'static str,
    /// How a value is checked in *strict*.
    pub check: &'static str,
}

impl Group {
    /// Its name in policies.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Personal => "personal",
            Self::Financial => "financial",
            Self::Health => "health",
            Self::Network => "network",
            Self::Secrets => "secrets",
        }
    }
}

impl Kind {
    /// Every built-in kind.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::built_in_count()).map(Self)
    }

    /// The built-in kinds of this name: one, or all of a group; `all` is every one. None if nothing has that name.
    pub fn named(name: &str) -> Vec<Self> {
        let wanted = |kind: &Self| {
            kind.about()
                .is_some_and(|about| name == "all" || about.name == name || about.group.name() == name)
        };
        Self::all().filter(wanted).collect()
    }

    /// The name of a built-in kind; `custom` of a tenant's own, whose name its scanner knows.
    pub fn name(self) -> &'static str {
        self.about().map_or("custom", |about| about.name)
    }

    /// What is known of a built-in kind.
    pub fn about(self) -> Option<About> {
        let at = usize::from(self.0);
        let vendor = || VENDORS.get(at - DETECTORS.len()).map(|vendor| vendor.about());
        DETECTORS.get(at).map(|detector| detector.about).or_else(vendor)
    }

    /// The words around a value that make this kind likelier, in any case; spaces stand for a space, `_`, `-` or nothing.
    pub fn context(self) -> &'static [&'static str] {
        DETECTORS.get(usize::from(self.0)).map_or(&[], |detector| detector.words)
    }

    /// How many kinds are built in.
    pub(crate) fn built_in_count() -> u16 {
        u16::try_from(DETECTORS.len() + VENDORS.len()).expect("a few hundred kinds")
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.about() {
            Some(about) => f.write_str(about.name),
            None => write!(f, "custom{}", self.0 - Self::built_in_count()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_fit_a_policy() {
        let groups = [Group::Personal, Group::Financial, Group::Health, Group::Network, Group::Secrets];
        let mut seen: HashSet<&str> = groups.iter().map(|group| group.name()).collect();
        seen.extend(["all", "custom"]);
        for kind in Kind::all() {
            let name = kind.name();
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            assert!((1..=64).contains(&name.len()) && name.bytes().all(plain), "{name}");
            assert!(seen.insert(name), "`{name}` stands twice");
            assert_eq!(Kind::named(name), [kind]);
        }
    }

    #[test]
    fn groups_are_named_too() {
        let secrets = Kind::named("secrets").len();
        assert!(secrets >= 150, "{secrets} kinds of secrets");
        assert_eq!(Kind::named("all").len(), Kind::all().count());
        assert!(Kind::named("no_such_kind").is_empty());
    }
}
