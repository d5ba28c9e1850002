//! Schedules and wires, with a clock of the tests' own.
