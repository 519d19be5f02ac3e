//! Answers without the options that nobody here reads, and none at all where an option is shorter than its kind: the library
//! takes lengths at their word (a status code of one byte ends in an overflow), and follows options within options as deep
//! as they go.

/// Length of an option of IPv4 that is read here; `None` where it is not.
fn v4_length(code: u8) -> Option<std::ops::RangeInclusive<usize>> {
    Some(match code {
        53 => 1..=1,
        26 => 2..=2,
        1 | 51 | 54 | 58 | 59 => 4..=4,
        3 | 6 | 15 | 42 | 56 | 61 | 119 | 121 => 1..=255,
        _ => return None,
    })
}

/// An answer of IPv4 with what is read of it.
pub(crate) fn v4(payload: &[u8]) -> Option<Vec<u8>> {
    const OPTIONS: usize = 240;
    let mut kept = payload.get(..OPTIONS)?.to_vec();
    let mut rest = &payload[OPTIONS..];
    loop {
        rest = match rest {
            [] | [255, ..] => break,
            [0, rest @ ..] => rest,
            [code, length, more @ ..] => {
                let (value, after) = more.split_at_checked((*length).into())?;
                if let Some(lengths) = v4_length(*code) {
                    lengths.contains(&value.len()).then_some(())?;
                    kept.extend([*code, *length]);
                    kept.extend(value);
                }
                after
            }
            [_] => return None,
        };
    }
    kept.push(255);
    Some(kept)
}

/// An answer of IPv6 with what is read of it.
pub(crate) fn v6(payload: &[u8]) -> Option<Vec<u8>> {
    let mut kept = payload.get(..4)?.to_vec();
    kept.extend(v6_options(&payload[4..], &[1, 2, 3, 7, 13, 23, 24, 56])?);
    Some(kept)
}

fn v6_options(mut rest: &[u8], wanted: &[u16]) -> Option<Vec<u8>> {
    let mut kept = Vec::new();
    while let [a, b, c, d, more @ ..] = rest {
        let code = u16::from_be_bytes([*a, *b]);
        let (value, after) = more.split_at_checked(u16::from_be_bytes([*c, *d]).into())?;
        rest = after;
        if !wanted.contains(&code) {
            continue;
        }
        let inside = match code {
            // What is inside of an association: addresses and a status; inside of an address, nothing.
            3 => [value.get(..12)?, v6_options(&value[12..], &[5, 13])?.as_slice()].concat(),
            5 => value.get(..24)?.to_vec(),
            _ => value.to_vec(),
        };
        let good = match code {
            7 => inside.len() == 1,
            13 => inside.len() >= 2,
            23 => inside.len().is_multiple_of(16),
            _ => true,
        };
        good.then_some(())?;
        kept.extend(code.to_be_bytes());
        kept.extend(u16::try_from(inside.len()).ok()?.to_be_bytes());
        kept.extend(inside);
    }
    rest.is_empty().then_some(kept)
}
