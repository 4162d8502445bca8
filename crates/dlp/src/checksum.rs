//! Check digits: whether a number can be what it looks like.

/// ISO/IEC 7812-1, annex B (Luhn), over decimal digits as values 0 to 9.
pub fn luhn(digits: &[u8]) -> bool {
    luhn_sum(digits).is_multiple_of(10)
}

/// The Luhn sum; the last digit counts once.
pub fn luhn_sum(digits: &[u8]) -> u32 {
    const TWICE: [u8; 10] = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9];
    let each = |(at, digit): (usize, &u8)| if at % 2 == 1 { TWICE[usize::from(*digit)] } else { *digit };
    digits.iter().rev().enumerate().map(each).map(u32::from).sum()
}

/// ISO/IEC 7064 MOD 97-10 over letters and digits, as IBANs have it: the first four characters go to the end.
pub fn iban(text: &[u8]) -> bool {
    text.len() > 4 && mod97(text[4..].iter().chain(&text[..4])) == Some(1)
}

/// ISO/IEC 7064 MOD 97-10 over a whole text of letters and digits: the remainder is 1.
pub fn mod97_10(text: &[u8]) -> bool {
    !text.is_empty() && mod97(text.iter()) == Some(1)
}

fn mod97<'a>(text: impl Iterator<Item = &'a u8>) -> Option<u32> {
    let mut rest = 0_u32;
    for byte in text {
        rest = match byte {
            b'0'..=b'9' => rest * 10 + u32::from(byte - b'0'),
            b'A'..=b'Z' => rest * 100 + u32::from(byte - b'A') + 10,
            b'a'..=b'z' => rest * 100 + u32::from(byte - b'a') + 10,
            _ => return None,
        } % 97;
    }
    Some(rest)
}

/// Modulo 11 with weights 1, 2, 3, … from the right, as ten-digit ISBNs and many national numbers; a last `10` is written `X`.
pub fn mod11(digits: &[u8]) -> bool {
    let sum: usize = digits.iter().rev().enumerate().map(|(at, digit)| (at + 1) * usize::from(*digit)).sum();
    sum.is_multiple_of(11)
}

/// Sum of digits, each times its weight.
pub fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| u32::from(*digit) * weight).sum()
}

/// Verhoeff's check over the dihedral group of order 10 (J. Verhoeff, 1969), as Aadhaar has it.
pub fn verhoeff(digits: &[u8]) -> bool {
    const TURN: [[u8; 10]; 8] = [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [1, 5, 7, 6, 2, 8, 3, 0, 9, 4],
        [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
        [8, 9, 1, 6, 0, 4, 3, 5, 2, 7],
        [9, 4, 5, 3, 1, 2, 6, 8, 7, 0],
        [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
        [2, 7, 9, 3, 8, 0, 6, 4, 1, 5],
        [7, 0, 4, 6, 9, 1, 3, 2, 5, 8],
    ];
    let times = |a: u8, b: u8| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b - 5) % 5 + 5,
        (false, true) => (a - 5 + 5 - b) % 5 + 5,
        (false, false) => (a + 5 - b) % 5,
    };
    digits.iter().rev().enumerate().fold(0, |sum, (at, digit)| times(sum, TURN[at % 8][usize::from(*digit)]))
        == 0
}

/// ISO/IEC 7064 MOD 11,10, as German and Croatian tax numbers have it: the last digit is the check.
pub fn mod11_10(digits: &[u8]) -> bool {
    let Some((check, body)) = digits.split_last() else { return false };
    let product = body.iter().fold(10_u32, |product, digit| {
        let sum = (product + u32::from(*digit)) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (11 - product) % 10 == u32::from(*check)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(text: &str) -> Vec<u8> {
        text.bytes().map(|byte| byte - b'0').collect()
    }

    #[test]
    fn published_examples_hold_and_neighbours_do_not() {
        type Check = fn(&[u8]) -> bool;
        let holds: [(Check, &str); 4] = [
            (luhn, "4111111111111111"),
            (mod11, "9434765919"),
            (verhoeff, "2363"),
            (mod11_10, "86095742719"),
        ];
        for (check, text) in holds {
            assert!(check(&digits(text)), "{text}");
            let last = text.len() - 1;
            let other = format!("{}{}", &text[..last], (text.as_bytes()[last] - b'0' + 1) % 10);
            assert!(!check(&digits(&other)), "{other}");
        }
        assert!(iban(b"GB82WEST12345698765432") && !iban(b"GB83WEST12345698765432") && !iban(b"GB8"));
        assert!(mod97_10(b"98") && !mod97_10(b"99"));
    }

    #[test]
    fn every_single_wrong_digit_and_every_swap_is_noticed_by_verhoeff() {
        let right = digits("2363");
        for at in 0..4 {
            for other in 0..10 {
                let mut wrong = right.clone();
                wrong[at] = other;
                assert_eq!(verhoeff(&wrong), wrong == right);
            }
        }
        for at in 0..3 {
            let mut wrong = right.clone();
            wrong.swap(at, at + 1);
            assert_eq!(verhoeff(&wrong), wrong == right);
        }
    }
}
