//! The types of an n-gram model and their numbers: one block of text and a table of hashes, about
//! 12 bytes a type beside its text.

/// The tokens in the order in which they came; a token's number is its place.
#[derive(Debug, Clone, Default)]
pub(super) struct TypeTable {
    text: String,
    /// Where each token ends in the text.
    ends: Vec<usize>,
    /// Numbers at the place of their token's hash or after it; a power of two of places, at most
    /// half of them taken.
    table: Vec<u32>,
}

const FREE: u32 = u32::MAX;

/// FNV-1a, whose low bits are mixed well enough for a table.
fn hash(token: &str) -> usize {
    let hash = token.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    (hash ^ (hash >> 32)) as usize
}

impl TypeTable {
    /// Adds a token and gives its number; nothing if it is there already.
    ///
    /// There must be room for another number below 2^32 - 1.
    pub(super) fn add(&mut self, token: &str) -> Option<u32> {
        if (self.len() + 1) * 2 > self.table.len() {
            self.grow();
        }
        let place = self.place(token);
        if self.table[place] != FREE {
            return None;
        }
        let number = self.len() as u32;
        self.table[place] = number;
        self.text.push_str(token);
        self.ends.push(self.text.len());
        Some(number)
    }

    /// The number of a token.
    pub(super) fn id(&self, token: &str) -> Option<u32> {
        if self.table.is_empty() {
            return None;
        }
        Some(self.table[self.place(token)]).filter(|&number| number != FREE)
    }

    /// The token of a number below [`Self::len`].
    pub(super) fn token(&self, id: u32) -> &str {
        let id = id as usize;
        let begin = if id == 0 { 0 } else { self.ends[id - 1] };
        &self.text[begin..self.ends[id]]
    }

    /// The number of types.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes taken.
    pub(super) fn bytes(&self) -> usize {
        self.text.capacity()
            + self.ends.capacity() * size_of::<usize>()
            + self.table.capacity() * size_of::<u32>()
    }

    /// Where a token stands in the table, or would.
    fn place(&self, token: &str) -> usize {
        let mask = self.table.len() - 1;
        let mut place = hash(token) & mask;
        while self.table[place] != FREE && self.token(self.table[place]) != token {
            place = (place + 1) & mask;
        }
        place
    }

    fn grow(&mut self) {
        self.table = vec![FREE; (self.table.len() * 2).max(16)];
        for number in 0..self.len() as u32 {
            let place = self.place(self.token(number));
            self.table[place] = number;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_order_and_survive_growth() {
        let mut words = TypeTable::default();
        assert_eq!(words.id("a"), None);
        for number in 0..1000 {
            assert_eq!(words.add(&format!("w{number}")), Some(number));
        }
        assert_eq!(words.add("w7"), None);
        assert_eq!(words.add(""), Some(1000));
        assert!(
            (0..1000).all(|number| words.id(&format!("w{number}")) == Some(number)
                && words.token(number) == format!("w{number}"))
        );
        assert_eq!(
            (
                words.id(""),
                words.token(1000),
                words.id("w1000"),
                words.len()
            ),
            (Some(1000), "", None, 1001)
        );
    }
}
