//! Fixed-point arithmetic of the reference kernels, exact to the last bit.
