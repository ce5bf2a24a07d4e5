//! Inputs for fuzz targets: samples with edits. Bytes at random never get past a tag, a length or a brace.

/// Longest input that a plan makes, in bytes.
const LONGEST: usize = 256 << 10;
/// Bytes of a plan that describe one edit: what is done, where (two bytes), and with what (two bytes).
const EDIT: usize = 5;

/// One of the samples, with edits. The plan says which, so the same plan makes the same input, and a fuzzer that watches what code
/// runs can change plans. `words` are put in whole, as what a format is made of.
pub(crate) fn edited(samples: &[&[u8]], words: &[&[u8]], plan: &[u8]) -> Vec<u8> {
    let Some((first, rest)) = plan.split_first() else { return Vec::new() };
    // One more than there are: bytes as they come.
    let Some(sample) = samples.get(usize::from(*first) % (samples.len() + 1)) else { return rest.to_vec() };
    let mut bytes = sample.to_vec();
    for edit in rest.chunks_exact(EDIT) {
        let [what, high, low, a, b] = *edit else { break };
        let at =
            usize::from(u16::from_be_bytes([high, low])) * (bytes.len() + 1) / (usize::from(u16::MAX) + 1);
        let until = (at + usize::from(b) + 1).min(bytes.len());
        match what % 8 {
            0 => bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << (a % 8)),
            1 => bytes.get_mut(at).into_iter().for_each(|byte| *byte = a),
            2 => bytes.insert(at, a),
            3 => drop(bytes.drain(at..until)),
            4 => {
                let again = bytes[at..until].repeat(usize::from(a % 64) + 1);
                drop(bytes.splice(at..at, again));
            }
            5 => bytes.truncate(at),
            6 => {
                let word = words.get(usize::from(a) % words.len().max(1)).copied().unwrap_or_default();
                let end = if b % 2 == 0 { at } else { (at + word.len()).min(bytes.len()) };
                drop(bytes.splice(at..end, word.iter().copied()));
            }
            _ => {
                let other = samples.get(usize::from(a) % samples.len()).copied().unwrap_or_default();
                let from = other.len() * usize::from(b) / 256;
                drop(bytes.splice(at..at, other[from..].iter().take(64).copied()));
            }
        }
        bytes.truncate(LONGEST);
    }
    bytes
}

/// The bytes behind each name in a file of golden samples: lines of a name and hexadecimal digits.
pub(crate) fn golden(lines: &str) -> Vec<Vec<u8>> {
    let digits = |line: &str| line.split_once(' ').map(|(_, digits)| digits.trim().to_owned());
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    lines
        .lines()
        .filter_map(digits)
        .map(|digits| digits.as_bytes().chunks(2).filter_map(byte).collect())
        .collect()
}

#[test]
fn plans_make_whole_samples_edited_ones_and_any_bytes() {
    let samples: [&[u8]; 2] = [b"first", b"other"];
    let made = |plan: &[u8]| edited(&samples, &[b"word"], plan);
    assert_eq!(made(&[]), b"");
    assert_eq!((made(&[0]), made(&[1])), (b"first".to_vec(), b"other".to_vec()));
    assert_eq!(made(&[2, 7, 8, 9, 10, 11]), [7, 8, 9, 10, 11], "bytes as they come");
    assert_eq!(made(&[0, 6, 0, 0, 0, 0]), b"wordfirst");
    assert_eq!(made(&[0, 6, 255, 255, 0, 1]), b"firstword", "behind the end");
    assert_eq!(made(&[0, 5, 128, 0, 0, 0]), b"fir");
    assert_eq!(made(&[0, 3, 0, 0, 0, 1]), b"rst");
    assert_eq!(made(&[0, 4, 0, 0, 1, 0]), b"fffirst");
    assert_eq!(made(&[0, 7, 0, 0, 1, 128]), b"herfirst");
    let doubling = [&[0][..], &[4, 0, 0, 63, 255].repeat(1_000)].concat();
    assert_eq!(made(&doubling).len(), LONGEST);
    assert_eq!(golden("a 00ff\nb 7f\n"), [vec![0, 255], vec![127]]);
}
