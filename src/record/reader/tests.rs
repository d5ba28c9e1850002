//! Bad input, and good.
