//! From the graph level to loop nests and placed buffers.
