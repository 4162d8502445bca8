//! A tenant's own detectors: a regular expression or a dictionary, a checksum, words of context.

use std::sync::Arc;

use aegis_model::caps::{
    DLP_CUSTOM_MATCH_BYTES_MAX, DLP_DICTIONARY_WORDS_MAX, REGEX_BYTES_MAX, REGEX_COMPILED_BYTES_MAX,
};
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use regex::bytes::{Regex, RegexBuilder};

use crate::checksum::{iban, luhn, mod11, mod97_10};
use crate::kind::Kind;
use crate::near::{LEFT, RIGHT};
use crate::place::{Hit, begins, ends};

/// Which check digits a value of a tenant's own kind has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// Luhn over its digits.
    Luhn,
    /// ISO/IEC 7064 MOD 97-10 over its letters and digits, as they are or as an IBAN has them.
    Mod97,
    /// Modulo 11 with weights 1, 2, 3, … from the right; a last `X` is 10.
    Mod11,
}

/// A detector of a tenant's own.
#[derive(Debug, Clone)]
pub struct Custom {
    pub(crate) name: Arc<str>,
    finds: Finds,
    checksum: Option<Checksum>,
    context: Vec<String>,
    words: usize,
}

#[derive(Debug, Clone)]
enum Finds {
    Regex(Regex),
    Dictionary(AhoCorasick),
}

/// Why a detector is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCustom {
    /// The name does not fit policies, or a built-in kind or group has it.
    #[error("`{0}` is no name for a detector of one's own")]
    Name(String),
    /// The expression is malformed or too large.
    #[error("the regular expression of `{0}` is malformed or too large")]
    Regex(String),
    /// The expression may match nothing at all, or more than a stream holds back.
    #[error("the regular expression of `{0}` must match between 1 and {DLP_CUSTOM_MATCH_BYTES_MAX} bytes")]
    Length(String),
    /// The dictionary is empty, or holds an empty or overlong word, or too many.
    #[error(
        "the dictionary of `{0}` needs 1 to {DLP_DICTIONARY_WORDS_MAX} words of 1 to {DLP_CUSTOM_MATCH_BYTES_MAX} bytes"
    )]
    Dictionary(String),
}

impl Custom {
    /// Finds what the expression matches. It is one of the subset that policies know; linear in time, without look-around.
    ///
    /// # Errors
    /// [`BadCustom`], where name or expression is out of bounds.
    pub fn regex(name: &str, pattern: &str) -> Result<Self, BadCustom> {
        let bad = || BadCustom::Regex(name.to_owned());
        if pattern.len() > REGEX_BYTES_MAX {
            return Err(bad());
        }
        let shape =
            regex_syntax::ParserBuilder::new().utf8(false).build().parse(pattern).map_err(|_| bad())?;
        let (least, most) = (shape.properties().minimum_len(), shape.properties().maximum_len());
        let (least, most) = (least.unwrap_or(0), most.unwrap_or(usize::MAX));
        if least == 0 || most > DLP_CUSTOM_MATCH_BYTES_MAX {
            return Err(BadCustom::Length(name.to_owned()));
        }
        let regex =
            RegexBuilder::new(pattern).size_limit(REGEX_COMPILED_BYTES_MAX).build().map_err(|_| bad())?;
        Self::of(name, Finds::Regex(regex), 0)
    }

    /// Finds these words, as whole words and in any case of ASCII; of words that begin together, the longest.
    ///
    /// # Errors
    /// [`BadCustom`], where name or words are out of bounds.
    pub fn dictionary(name: &str, words: &[impl AsRef<str>]) -> Result<Self, BadCustom> {
        let bad = || BadCustom::Dictionary(name.to_owned());
        let fits = |word: &str| (1..=DLP_CUSTOM_MATCH_BYTES_MAX).contains(&word.len());
        if !(1..=DLP_DICTIONARY_WORDS_MAX).contains(&words.len())
            || !words.iter().all(|word| fits(word.as_ref()))
        {
            return Err(bad());
        }
        let words = words.iter().map(|word| word.as_ref().as_bytes());
        let count = words.len();
        let automaton = AhoCorasickBuilder::new()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::LeftmostLongest)
            .build(words)
            .map_err(|_| bad())?;
        Self::of(name, Finds::Dictionary(automaton), count)
    }

    fn of(name: &str, finds: Finds, words: usize) -> Result<Self, BadCustom> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let fits = (1..=64).contains(&name.len()) && name.bytes().all(plain) && Kind::named(name).is_empty();
        match fits {
            true => Ok(Self { name: name.into(), finds, checksum: None, context: Vec::new(), words }),
            false => Err(BadCustom::Name(name.to_owned())),
        }
    }

    /// With check digits: without them right, a value only looks like it.
    pub fn checksum(mut self, checksum: Checksum) -> Self {
        self.checksum = Some(checksum);
        self
    }

    /// With words of context, in any case of ASCII: without one near, a value only looks like it.
    pub fn context(mut self, words: &[impl AsRef<str>]) -> Self {
        self.context.extend(words.iter().map(|word| word.as_ref().to_ascii_lowercase()));
        self
    }

    /// Words of its dictionary.
    pub(crate) fn words(&self) -> usize {
        self.words
    }

    /// Finds values that begin before `limit`, from `from` on, which is behind the last one; gives where to go on.
    pub(crate) fn find(
        &self,
        text: &[u8],
        mut from: usize,
        limit: usize,
        hit: &mut impl FnMut(Hit),
    ) -> usize {
        while from < limit {
            let found = match &self.finds {
                Finds::Regex(regex) => regex.find_at(text, from).map(|it| (it.start(), it.end())),
                Finds::Dictionary(automaton) => automaton
                    .find(aho_corasick::Input::new(text).range(from..))
                    .map(|it| (it.start(), it.end())),
            };
            let Some((start, end)) = found.filter(|found| found.0 < limit) else { break };
            let whole = matches!(self.finds, Finds::Regex(_)) || begins(text, start) && ends(text, end);
            if whole {
                hit(Hit { start, end, valid: self.checks(&text[start..end]) && self.near(text, start, end) });
            }
            from = if whole { end } else { start + 1 };
        }
        from.max(limit)
    }

    fn checks(&self, value: &[u8]) -> bool {
        let Some(checksum) = self.checksum else { return true };
        let kept: Vec<u8> = value.iter().copied().filter(u8::is_ascii_alphanumeric).collect();
        let digits =
            || -> Vec<u8> { kept.iter().filter(|it| it.is_ascii_digit()).map(|it| it - b'0').collect() };
        match checksum {
            Checksum::Luhn => digits().len() > 1 && luhn(&digits()),
            Checksum::Mod97 => mod97_10(&kept) || iban(&kept),
            Checksum::Mod11 => {
                let mut digits = digits();
                digits.extend(kept.last().is_some_and(|last| *last == b'X').then_some(10));
                digits.len() > 1 && mod11(&digits)
            }
        }
    }

    fn near(&self, text: &[u8], start: usize, end: usize) -> bool {
        if self.context.is_empty() {
            return true;
        }
        let window = text[start.saturating_sub(LEFT)..text.len().min(end + RIGHT)].to_ascii_lowercase();
        self.context.iter().any(|word| memchr::memmem::find(&window, word.as_bytes()).is_some())
    }
}
