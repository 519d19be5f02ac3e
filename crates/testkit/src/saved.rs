use std::{fs, path::Path};

/// How many variations of each saved input are tried.
const VARIATIONS: u64 = 100;

/// The input at hand, said where the test fails on it.
struct Tried<'a> {
    name: &'a str,
    input: &'a [u8],
}

#[allow(clippy::print_stderr, reason = "a test says what it failed on")]
impl Drop for Tried<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: fails on b\"{}\"", self.name, self.input.escape_ascii());
        }
    }
}

/// Puts what is saved for the fuzz target `name` to `property`: its seeds (`fuzz/seeds`), inputs that once failed
/// (`fuzz/regressions`), and a fixed choice of variations of each. So what a fuzzer would try first is tried by
/// every test run.
///
/// # Panics
/// Where there are no seeds, and as `property` does.
pub fn replay(name: &str, property: impl Fn(&[u8])) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let seeds = saved(&fuzz.join("seeds").join(name));
    assert!(!seeds.is_empty(), "fuzz/seeds/{name} has no inputs");
    let try_out = |input: &[u8]| {
        let _tried = Tried { name, input };
        property(input);
    };
    for input in seeds.iter().chain(&saved(&fuzz.join("regressions").join(name))) {
        try_out(input);
        for variation in 0..VARIATIONS {
            try_out(&varied(input, &seeds, variation));
        }
    }
    try_out(&[]);
}

fn saved(directory: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).collect()
}

/// `input` with one to four changes: bytes changed, cut out, repeated, or taken from one of `others`.
fn varied(input: &[u8], others: &[Vec<u8>], variation: u64) -> Vec<u8> {
    let mut bytes = input.to_vec();
    let mut random = Random(variation.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ input.len() as u64);
    for _ in 0..=random.below(4) {
        let place = random.below(bytes.len() + 1);
        let length = random.below(bytes.len() - place + 1).min(8);
        match random.below(5) {
            0 if place < bytes.len() => bytes[place] = [0, 1, 0x7f, 0x80, 0xff, b'"', b':', b','][random.below(8)],
            1 if place < bytes.len() => bytes[place] ^= 1 << random.below(8),
            2 => drop(bytes.drain(place..place + length)),
            3 => bytes.extend_from_within(place..place + length),
            _ => {
                let other = &others[random.below(others.len())];
                let from = random.below(other.len() + 1);
                let part = other[from..].iter().copied().take(random.below(32));
                bytes.splice(place..place + length, part);
            }
        }
    }
    bytes
}

/// The same numbers in every run (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound.max(1) as u64) as usize
    }
}
