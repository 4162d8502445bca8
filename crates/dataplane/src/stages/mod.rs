//! The stages of the walk, one file each, in their order.

pub(crate) mod identify;

pub(crate) mod seat;

pub(crate) mod once;

pub(crate) mod authorize;

pub(crate) mod admit;

pub(crate) mod inspect;

pub(crate) mod consent;

pub(crate) mod record;

pub(crate) mod respond;
