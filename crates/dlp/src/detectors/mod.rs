//! The built-in detectors: one file each, with its source, its check and the words that make it likelier.

mod values;

mod au_abn;
mod au_medicare;
mod au_tfn;
mod bank_account;
mod be_national_number;
mod bitcoin_address;
mod br_cnpj;
mod br_cpf;
mod ca_sin;
mod ch_ahv;
mod cn_resident_id;
mod connection_string;
mod date_of_birth;
mod de_tax_id;
mod dk_cpr;
mod email;
mod es_nif;
mod fi_hetu;
mod fr_nir;
mod generic_secret;
mod health_insurance_number;
mod iban;
mod imei;
mod in_aadhaar;
mod in_pan;
mod ipv4;
mod ipv6;
mod it_codice_fiscale;
mod jp_my_number;
mod jwt;
mod kr_rrn;
mod mac_address;
mod medical_record_number;
mod mx_curp;
mod nl_bsn;
mod no_fodselsnummer;
mod nz_ird;
mod passport;
mod password;
mod payment_card;
mod phone;
mod pl_pesel;
mod private_key;
mod pt_nif;
mod se_personnummer;
mod sg_nric;
mod swift_bic;
mod tr_kimlik;
mod uk_nhs;
mod uk_nino;
mod us_bank_routing;
mod us_dea;
mod us_driver_license;
mod us_ein;
mod us_itin;
mod us_mbi;
mod us_npi;
mod us_ssn;
mod za_id;

use crate::kind::{About, Group};
use crate::place::{Hit, Place, Spot};
pub(crate) use values::{assigned, entropy, identifier, placeholder, told, told_token};

/// A kind and how it is found.
pub(crate) struct Detector {
    pub about: About,
    /// Words around a value that speak of this kind, lower case; a space stands for a space, `_`, `-` or nothing.
    pub words: &'static [&'static str],
    pub anchors: &'static [Anchor],
}

type OfPlace = fn(&Place<'_>) -> Option<Hit>;
type OfSpot = fn(&Spot<'_>) -> Option<Hit>;

/// Where a detector begins to look, so that nothing is looked at twice.
pub(crate) enum Anchor {
    /// At a run of so many digits, whatever follows.
    Plain(&'static [u8], OfPlace),
    /// At a run of so many digits that is joined to another.
    Grouped(&'static [u8], OfPlace),
    /// At a run of digits directly after so many letters.
    Lettered(&'static [u8], OfPlace),
    /// At this byte.
    Byte(u8, OfSpot),
    /// At this byte, if a letter or digit follows.
    Followed(u8, OfSpot),
    /// At this byte, if a letter or digit follows and it stands again so many bytes further.
    Twice(u8, usize, OfSpot),
    /// At whole words, in any case; a space stands for a space, `_`, `-` or nothing.
    Words(&'static [&'static str], OfSpot),
    /// At these bytes, lower case here and any case in the text.
    Prefixes(&'static [&'static str], OfSpot),
    /// As prefixes, for values that may be thousands of bytes long.
    Long(&'static [&'static str], fn(&Spot<'_>) -> Long),
}

/// What a detector of long values says.
pub(crate) enum Long {
    /// This, whatever follows.
    Done(Option<Hit>),
    /// More text could change it; this, if there is none.
    More(Option<Hit>),
}

/// Every detector. Of two that find the same span, equally sure, the first one counts.
pub(crate) const DETECTORS: &[Detector] = &[
    private_key::DETECTOR,
    jwt::DETECTOR,
    connection_string::DETECTOR,
    payment_card::DETECTOR,
    iban::DETECTOR,
    us_ssn::DETECTOR,
    us_itin::DETECTOR,
    email::DETECTOR,
    ipv4::DETECTOR,
    ipv6::DETECTOR,
    mac_address::DETECTOR,
    phone::DETECTOR,
    date_of_birth::DETECTOR,
    passport::DETECTOR,
    au_abn::DETECTOR,
    au_medicare::DETECTOR,
    au_tfn::DETECTOR,
    be_national_number::DETECTOR,
    bitcoin_address::DETECTOR,
    br_cnpj::DETECTOR,
    br_cpf::DETECTOR,
    ca_sin::DETECTOR,
    ch_ahv::DETECTOR,
    cn_resident_id::DETECTOR,
    de_tax_id::DETECTOR,
    dk_cpr::DETECTOR,
    es_nif::DETECTOR,
    fi_hetu::DETECTOR,
    fr_nir::DETECTOR,
    imei::DETECTOR,
    in_aadhaar::DETECTOR,
    in_pan::DETECTOR,
    it_codice_fiscale::DETECTOR,
    jp_my_number::DETECTOR,
    kr_rrn::DETECTOR,
    mx_curp::DETECTOR,
    nl_bsn::DETECTOR,
    no_fodselsnummer::DETECTOR,
    nz_ird::DETECTOR,
    pl_pesel::DETECTOR,
    pt_nif::DETECTOR,
    se_personnummer::DETECTOR,
    sg_nric::DETECTOR,
    swift_bic::DETECTOR,
    tr_kimlik::DETECTOR,
    uk_nhs::DETECTOR,
    uk_nino::DETECTOR,
    us_bank_routing::DETECTOR,
    us_dea::DETECTOR,
    us_ein::DETECTOR,
    us_mbi::DETECTOR,
    us_npi::DETECTOR,
    za_id::DETECTOR,
    us_driver_license::DETECTOR,
    medical_record_number::DETECTOR,
    health_insurance_number::DETECTOR,
    bank_account::DETECTOR,
    password::DETECTOR,
    generic_secret::DETECTOR,
];

const _: () = assert!(DETECTORS.len() <= crate::near::KINDS_MAX, "words of a kind are a bit of a mask");

const fn about(
    group: Group,
    name: &'static str,
    title: &'static str,
    source: &'static str,
    check: &'static str,
) -> About {
    About { name, group, title, source, check }
}

const fn personal(
    name: &'static str,
    title: &'static str,
    source: &'static str,
    check: &'static str,
) -> About {
    about(Group::Personal, name, title, source, check)
}

const fn financial(
    name: &'static str,
    title: &'static str,
    source: &'static str,
    check: &'static str,
) -> About {
    about(Group::Financial, name, title, source, check)
}

const fn health(name: &'static str, title: &'static str, source: &'static str, check: &'static str) -> About {
    about(Group::Health, name, title, source, check)
}

const fn network(
    name: &'static str,
    title: &'static str,
    source: &'static str,
    check: &'static str,
) -> About {
    about(Group::Network, name, title, source, check)
}

const fn secret(name: &'static str, title: &'static str, source: &'static str, check: &'static str) -> About {
    about(Group::Secrets, name, title, source, check)
}

/// The usual judgement of a number of `count` runs: with words around, as sure as its check; without, only if the check
/// holds and it is written in four groups or more, as few other numbers are.
fn judged(place: &Place<'_>, count: usize, valid: bool) -> Option<Hit> {
    match (valid, place.context()) {
        (valid, true) => Hit::of(place.start(), place.end(count), valid),
        (true, false) if count >= 4 => Hit::valid(place.start(), place.end(count)),
        _ => None,
    }
}
