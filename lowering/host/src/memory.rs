//! Blocks of memory that native code works on: aligned, and readable a little behind their end.

/// Bytes behind every block that a load of the widest type may touch.
const GUARD: usize = 8;

/// All blocks of a program or a nest; a block is known by its number.
#[derive(Default)]
pub struct Memory {
    /// What blocks lie in; the vectors never grow, so their addresses stay.
    data: Vec<Vec<u8>>,
    blocks: Vec<Block>,
    arena: Option<Block>,
}

/// Bytes from an aligned address on.
#[derive(Clone, Copy)]
struct Block {
    data: usize,
    start: usize,
    len: usize,
}

impl Memory {
    /// Adds a block of zeros whose address is a multiple of `align`, and gives its number.
    pub fn add(&mut self, len: usize, align: u32) -> usize {
        let align = (align.max(1) as usize).next_power_of_two().max(8);
        let data = vec![0; len + align + GUARD];
        let start = data.as_ptr().addr().wrapping_neg() % align;
        self.data.push(data);
        self.blocks.push(Block { data: self.data.len() - 1, start, len });
        self.blocks.len() - 1
    }

    /// Makes the arena that [`Self::add_at`] puts blocks in.
    pub fn set_arena(&mut self, len: usize, align: u32) {
        let number = self.add(len, align);
        self.arena = Some(self.blocks.remove(number));
    }

    /// Adds a block at an offset of the arena, and gives its number; `None` where it does not fit.
    pub fn add_at(&mut self, offset: usize, len: usize) -> Option<usize> {
        let arena = self.arena.filter(|arena| offset + len <= arena.len)?;
        self.blocks.push(Block { start: arena.start + offset, len, ..arena });
        Some(self.blocks.len() - 1)
    }

    /// The contents of a block.
    pub fn bytes(&self, block: usize) -> &[u8] {
        let Block { data, start, len } = self.blocks[block];
        &self.data[data][start..][..len]
    }

    /// The contents of a block, to be changed.
    pub fn bytes_mut(&mut self, block: usize) -> &mut [u8] {
        let Block { data, start, len } = self.blocks[block];
        &mut self.data[data][start..][..len]
    }

    /// The address of a block.
    pub fn address(&mut self, block: usize) -> *mut u8 {
        let Block { data, start, .. } = self.blocks[block];
        self.data[data][start..].as_mut_ptr()
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
