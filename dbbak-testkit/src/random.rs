//! Random numbers that a seed determines.

/// SplitMix64: small, and the same on every machine.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Numbers that the seed determines.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below a bound, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }

    /// Whether something of this likelihood happens.
    pub fn percent(&mut self, likelihood: u64) -> bool {
        self.below(100) < likelihood
    }

    /// One of several; none of none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let count = u64::try_from(of.len()).unwrap_or(0);
        if count == 0 { None } else { of.get(usize::try_from(self.below(count)).unwrap_or(0)) }
    }

    /// Words beyond ASCII too: what a wrong character set would spoil.
    pub fn word(&mut self) -> String {
        const PARTS: [&str; 10] = ["ka", "lo", "mi", "ß", "é", "šu", "日", "ne", "🚲", "to"];
        (0..=self.below(6)).map(|_| PARTS[usize::try_from(self.below(10)).unwrap_or(0)]).collect()
    }
}
