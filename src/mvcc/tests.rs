//! The store, with a clock of the test's own.
