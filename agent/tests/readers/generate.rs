//! Documents at random: sound lines of a format, and what may stand wrongly between them.

/// A generator of numbers that a seed settles (splitmix64).
pub(crate) struct Random(u64);

impl Random {
    /// From `SEKISHO_TEST_SEED`, else the same with every run, so that a change is judged by itself alone. The
    /// seed belongs into every failure.
    pub(crate) fn new() -> (Self, u64) {
        let given = std::env::var("SEKISHO_TEST_SEED").ok().map(|seed| seed.parse().unwrap());
        let seed = given.unwrap_or(2023);
        (Self(seed), seed)
    }

    pub(crate) fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % most as u64) as usize
    }

    pub(crate) fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// A document of up to `lines_max` of these lines, in which up to three pieces are put, or characters left out.
pub(crate) fn document(random: &mut Random, lines: &[&str], pieces: &[&str], lines_max: usize) -> String {
    let mut text = String::new();
    for _ in 0..=random.below(lines_max) {
        text.push_str(random.one::<&str>(lines));
        text.push_str(random.one::<&str>(&["\n", "\n", "\n", "\n", "\n", "\n", "\n", "\r\n", "\r", ""]));
    }
    for _ in 0..random.below(4) {
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let at = *random.one(&places);
        if random.below(4) == 0 && at < text.len() {
            text.remove(at);
        } else {
            text.insert_str(at, random.one::<&str>(pieces));
        }
    }
    text
}
