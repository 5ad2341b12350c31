//! Blocks of memory that native code works on: aligned, and readable a little behind their end.

/// Bytes behind every block that a load of the widest type may touch.
const GUARD: usize = 8;

/// All blocks of a program or a nest; a block is known by its number.
#[derive(Default)]
pub struct Memory {
    blocks: Vec<Block>,
}

/// Bytes from an aligned address on; the vector never grows, so its address stays.
struct Block {
    data: Vec<u8>,
    start: usize,
    len: usize,
}

impl Memory {
    /// Adds a block of zeros whose address is a multiple of `align`, and gives its number.
    pub fn add(&mut self, len: usize, align: u32) -> usize {
        let align = (align.max(1) as usize).next_power_of_two().max(8);
        let data = vec![0; len + align + GUARD];
        let start = data.as_ptr().addr().wrapping_neg() % align;
        self.blocks.push(Block { data, start, len });
        self.blocks.len() - 1
    }

    /// The contents of a block.
    pub fn bytes(&self, block: usize) -> &[u8] {
        let Block { data, start, len } = &self.blocks[block];
        &data[*start..][..*len]
    }

    /// The contents of a block, to be changed.
    pub fn bytes_mut(&mut self, block: usize) -> &mut [u8] {
        let Block { data, start, len } = &mut self.blocks[block];
        &mut data[*start..][..*len]
    }

    /// The address of a block.
    pub fn address(&mut self, block: usize) -> *mut u8 {
        let Block { data, start, .. } = &mut self.blocks[block];
        data[*start..].as_mut_ptr()
    }

    /// Checks that a block has `len` bytes, or gives how many it has.
    pub fn expect_at_least(&self, block: usize, len: usize) -> Result<(), usize> {
        match self.blocks.get(block) {
            Some(have) if have.len >= len => Ok(()),
            Some(have) => Err(have.len),
            None => Err(0),
        }
    }
}
