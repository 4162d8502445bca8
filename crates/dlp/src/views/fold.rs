//! Characters that look like others, or like nothing.
//!
//! Source: Unicode 16, general category Nd (digits), UTS 39 (confusables; only those of Latin letters, digits and the signs
//! that join them), UAX 9 (bidirectional controls).

/// What a character stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fold {
    /// Nothing: it does not show.
    Gone,
    /// This, wherever it stands.
    Digit(u8),
    /// This, if it stands among ASCII.
    Among(u8),
}

/// The first of each ten digits of Unicode outside ASCII.
const DIGITS: [u32; 35] = [
    0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xDE6, 0xE50, 0xED0,
    0xF20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50,
    0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xAA50, 0xABF0, 0xFF10,
];

/// Letters of other scripts, each followed by the Latin one that it looks like.
const LETTERS: &str = "аaеeоoрpсcуyхxіiјjѕsһhԁdԛqԝwгrмmтtкkвbнhпnАAВBЕEКKМMНHОOРPСCТTХXУYІIЈJЅSοoνvρpιiκkαaυuτtΑAΒBΕEΖZΗHΙIΚKΜMΝNΟOΡPΤTΥYΧXıiɡgℓlſs";

/// What a character outside ASCII stands for, if for anything.
pub(crate) fn fold(character: char) -> Option<Fold> {
    if character.is_ascii() {
        return None;
    }
    let code = u32::from(character);
    let byte = |code: u32| u8::try_from(code).unwrap_or(b' ');
    Some(match code {
        0xAD
        | 0x34F
        | 0x61C
        | 0x180E
        | 0x200B..=0x200F
        | 0x202A..=0x202E
        | 0x2060..=0x206F
        | 0xFEFF
        | 0x20E3 => Fold::Gone,
        0xFE00..=0xFE0F | 0xE0000..=0xE01EF => Fold::Gone,
        0xA0 | 0x1680 | 0x2000..=0x200A | 0x202F | 0x205F | 0x3000 => Fold::Among(b' '),
        0x2010..=0x2015 | 0x2043 | 0x2212 | 0xFE58 | 0xFE63 | 0xFF0D => Fold::Among(b'-'),
        0xB7 | 0x2022 | 0x2024 | 0x2027 | 0x2219 | 0x3002 | 0xFE52 | 0xFF0E | 0xFF61 => Fold::Among(b'.'),
        0x2044 | 0x2215 | 0xFF0F => Fold::Among(b'/'),
        0xFE6B | 0xFF20 => Fold::Digit(b'@'),
        0xFF10..=0xFF19 => Fold::Digit(byte(code - 0xFF10) + b'0'),
        0xFF01..=0xFF5E => Fold::Digit(byte(code - 0xFEE0)),
        0xB2 | 0xB3 => Fold::Digit(byte(code - 0xB0) + b'0'),
        0xB9 => Fold::Digit(b'1'),
        0x2070 | 0x2074..=0x2079 => Fold::Digit(byte(code - 0x2070) + b'0'),
        0x2080..=0x2089 => Fold::Digit(byte(code - 0x2080) + b'0'),
        0x2460..=0x2468 => Fold::Digit(byte(code - 0x2460) + b'1'),
        0x2474..=0x247C => Fold::Digit(byte(code - 0x2474) + b'1'),
        0x24EA => Fold::Digit(b'0'),
        0x2776..=0x277E => Fold::Digit(byte(code - 0x2776) + b'1'),
        0x1D7CE..=0x1D7FF => Fold::Digit(byte((code - 0x1D7CE) % 10) + b'0'),
        0x1FBF0..=0x1FBF9 => Fold::Digit(byte(code - 0x1FBF0) + b'0'),
        0x1D400..=0x1D6A3 => {
            let letter = byte((code - 0x1D400) % 52);
            Fold::Digit(if letter < 26 { b'A' + letter } else { b'a' + letter - 26 })
        }
        _ => match DIGITS.iter().find(|first| (**first..**first + 10).contains(&code)) {
            Some(first) => Fold::Digit(byte(code - first) + b'0'),
            None => Fold::Among(letter(character)?),
        },
    })
}

fn letter(character: char) -> Option<u8> {
    if !matches!(u32::from(character), 0x131 | 0x17F | 0x261 | 0x370..=0x52F | 0x2113) {
        return None;
    }
    let mut pairs = LETTERS.chars();
    while let (Some(like), Some(latin)) = (pairs.next(), pairs.next()) {
        if like == character {
            return u8::try_from(latin).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_alike_is_alike() {
        for (character, meant) in [
            ('１', '1'),
            ('٣', '3'),
            ('𝟗', '9'),
            ('②', '2'),
            ('＠', '@'),
            ('а', 'a'),
            ('Ｓ', 'S'),
            ('𝐒', 'S'),
            ('–', '-'),
        ] {
            let folded = fold(character);
            let wanted = u8::try_from(meant).unwrap();
            assert!(
                matches!(folded, Some(Fold::Digit(byte) | Fold::Among(byte)) if byte == wanted),
                "{character}: {folded:?}"
            );
        }
        assert_eq!(fold('\u{200B}'), Some(Fold::Gone));
        for plain in ['é', '中', 'ж', '“', '🙂'] {
            assert_eq!(fold(plain), None);
        }
    }

    #[test]
    fn pairs_of_letters_are_pairs() {
        let letters: Vec<char> = LETTERS.chars().collect();
        assert!(
            letters.len().is_multiple_of(2)
                && letters.chunks(2).all(|pair| !pair[0].is_ascii() && pair[1].is_ascii())
        );
    }
}
