//! Turns a token or certificate into a principal; mints tokens; builds TLS settings.
//!
//! What this crate does not do: it opens no file and no socket, reads no clock, draws no randomness of its own
//! but for [`sealing`], knows no policy, and keeps no list of what was revoked.
//!
//! Start at [`verify::Verifier`] (token in, principal out). A token travels
//! [`token::parse`] → [`token::Unverified`] → [`token::Authentic`] → claims → `Principal`; each value proves
//! that the step before was taken. [`person::verify_person`] is the same way at the door for people,
//! [`approved::verify_override`] at the one for approvals,
//! [`assertion`] what an agent signs itself to get a token, [`foreign`] what an issuer outside says of it,
//! [`mint::Minter`] the way back, and [`inspect::inspect`] shows a token without trusting it.
//! [`manifest`] says what a policy version consists of, signed; [`tls`] turns PEM files into rustls settings.

pub mod verify;

pub mod approved;
pub mod assertion;
pub mod foreign;
pub mod person;

pub mod cache;
pub mod claims;
pub mod keys;
pub mod refusal;
pub mod token;
pub mod trust;

pub mod spiffe;

pub mod inspect;
pub mod manifest;
pub mod mint;
pub mod sealing;
pub mod tls;
