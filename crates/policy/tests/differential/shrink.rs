//! Makes a set on which two voices differ as small as it can be while they still do.

use aegis_policy::ast::{Condition, Document, Entry, PolicySet};

/// Drops whatever can be dropped while `differs` holds of the rest.
pub(crate) fn shrink(set: &PolicySet, differs: &dyn Fn(&PolicySet) -> bool) -> PolicySet {
    let mut smallest = set.clone();
    while let Some(smaller) = smaller(&smallest).into_iter().find(differs) {
        smallest = smaller;
    }
    smallest
}

/// Every set that is smaller by one thing.
fn smaller(set: &PolicySet) -> Vec<PolicySet> {
    let mut sets = Vec::new();
    let with = |change: &dyn Fn(&mut PolicySet)| {
        let mut set = set.clone();
        change(&mut set);
        set
    };
    for index in 0..set.documents.len() {
        sets.push(with(&|set| drop(set.documents.remove(index))));
        for document in documents(&set.documents[index]) {
            sets.push(with(&|set| set.documents[index].clone_from(&document)));
        }
    }
    if let Some(defaults) = &set.defaults {
        sets.push(with(&|set| set.defaults = None));
        for document in documents(defaults) {
            sets.push(with(&|set| set.defaults = Some(document.clone())));
        }
    }
    if set.tenant.is_some() {
        sets.push(with(&|set| set.tenant = None));
    }
    sets
}

fn documents(document: &Document) -> Vec<Document> {
    let mut documents = Vec::new();
    if document.custom.is_some() {
        documents.push(Document { custom: None, ..document.clone() });
    }
    if let Some(allowed) = &document.allowed {
        documents.extend(
            entries(allowed)
                .into_iter()
                .map(|allowed| Document { allowed: Some(allowed), ..document.clone() }),
        );
    }
    documents
        .extend(entries(&document.denied).into_iter().map(|denied| Document { denied, ..document.clone() }));
    documents
}

fn entries(entries: &[Entry]) -> Vec<Vec<Entry>> {
    let mut lists = Vec::new();
    for index in 0..entries.len() {
        let mut shorter = entries.to_vec();
        shorter.remove(index);
        lists.push(shorter);
        for condition in conditions(&entries[index].condition) {
            let mut changed = entries.to_vec();
            changed[index].condition = condition;
            lists.push(changed);
        }
    }
    lists
}

fn conditions(condition: &Condition) -> Vec<Condition> {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => {
            let again = |parts| match condition {
                Condition::All(_) => Condition::All(parts),
                _ => Condition::Any(parts),
            };
            let mut all = parts.clone();
            for (index, part) in parts.iter().enumerate() {
                let mut shorter = parts.clone();
                shorter.remove(index);
                all.push(again(shorter));
                for part in conditions(part) {
                    let mut changed = parts.clone();
                    changed[index] = part;
                    all.push(again(changed));
                }
            }
            all
        }
        Condition::Not(part) => {
            conditions(part).into_iter().map(|part| Condition::Not(Box::new(part))).collect()
        }
        Condition::Test(test) => {
            let mut all = Vec::new();
            for index in 0..test.checks.len() {
                if test.checks.len() > 1 {
                    let mut test = test.clone();
                    test.checks.remove(index);
                    all.push(Condition::Test(test));
                }
            }
            all
        }
    }
}
