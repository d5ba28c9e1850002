//! A connection's core with faults: any plan, any bytes, any moment to load a
//! plan or to take it away.
//!
//! - Nothing panics, everything that is polled comes to an end.
//! - Until a fault strikes, what leaves is what came.
//! - What leaves is frames that can be read, within the windows that the receiver
//!   granted, as long as what came was.
//! - Nothing stays in the account of what is held.
//!
//! Input: a byte of how it begins, the plan (`plan`), then records (`record`).

#![no_main]

mod input;
mod plan;
mod reader;
mod record;
mod speech;
mod stand;

use input::Input;
use libfuzzer_sys::fuzz_target;
use stand::Stand;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let Some(how) = input.byte() else {
        return;
    };
    let faults = plan::faults(&mut input);
    let mut stand = Stand::new(how, faults);
    if how & 1 == 1 {
        stand.greet();
    }
    while record::carry_out(&mut input, &mut stand).is_some() {}
    stand.end(how & 2 == 2);
});
