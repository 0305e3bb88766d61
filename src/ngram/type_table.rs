//! The types of an n-gram model and their ids: one block of text and a hash table, which take about
//! 12 bytes per type in addition to the text.

/// Tokens in the order of insertion. The id of a token is its index.
#[derive(Debug, Clone, Default)]
pub(super) struct TypeTable {
    text: String,
    /// The end of each token in `text`.
    ends: Vec<usize>,
    /// An open-addressing hash table of ids with linear probing. Its size is a power of two, and at
    /// most half of its slots are occupied.
    table: Vec<u32>,
}

/// An unoccupied slot.
const FREE: u32 = u32::MAX;

/// FNV-1a with the upper half folded into the lower.
fn hash(token: &str) -> usize {
    let hash = token.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    (hash ^ (hash >> 32)) as usize
}

impl TypeTable {
    /// Adds a token and returns its id; `None` if the token is already present.
    ///
    /// The table must have fewer than 2^32 - 1 tokens.
    pub(super) fn add(&mut self, token: &str) -> Option<u32> {
        if (self.len() + 1) * 2 > self.table.len() {
            self.grow();
        }
        let slot = self.slot(token);
        if self.table[slot] != FREE {
            return None;
        }
        let id = self.len() as u32;
        self.table[slot] = id;
        self.text.push_str(token);
        self.ends.push(self.text.len());
        Some(id)
    }

    /// The id of a token.
    pub(super) fn id(&self, token: &str) -> Option<u32> {
        if self.table.is_empty() {
            return None;
        }
        Some(self.table[self.slot(token)]).filter(|&id| id != FREE)
    }

    /// The token of an id, which must be less than [`Self::len`].
    pub(super) fn token(&self, id: u32) -> &str {
        let id = id as usize;
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        &self.text[start..self.ends[id]]
    }

    /// The number of types.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Size in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.text.capacity()
            + self.ends.capacity() * size_of::<usize>()
            + self.table.capacity() * size_of::<u32>()
    }

    /// The slot of a token, or the free slot where it would be inserted.
    fn slot(&self, token: &str) -> usize {
        let mask = self.table.len() - 1;
        let mut slot = hash(token) & mask;
        while self.table[slot] != FREE && self.token(self.table[slot]) != token {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        self.table = vec![FREE; (self.table.len() * 2).max(16)];
        for id in 0..self.len() as u32 {
            let slot = self.slot(self.token(id));
            self.table[slot] = id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_the_order_of_insertion_and_survive_growth() {
        let mut types = TypeTable::default();
        assert_eq!(types.id("a"), None);
        for id in 0..1000 {
            assert_eq!(types.add(&format!("w{id}")), Some(id));
        }
        assert_eq!(types.add("w7"), None);
        assert_eq!(types.add(""), Some(1000));
        assert!((0..1000).all(
            |id| types.id(&format!("w{id}")) == Some(id) && types.token(id) == format!("w{id}")
        ));
        assert_eq!(
            (
                types.id(""),
                types.token(1000),
                types.id("w1000"),
                types.len()
            ),
            (Some(1000), "", None, 1001)
        );
    }
}
