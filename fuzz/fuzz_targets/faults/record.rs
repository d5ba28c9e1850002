//! What happens next: one byte says what (bits 0 to 4), whether it is only said
//! and has not come yet (bit 6), and whose doing it is (bit 7); more bytes say
//! how.

use std::time::Duration;

use etcdtap::http2::{ErrorCode, Side};
use etcdtap::relay::EndOfBytes;

use super::input::Input;
use super::plan::{self, NAMES};
use super::stand::Stand;

/// The next one; `None` when the input is used up.
pub fn carry_out(input: &mut Input<'_>, stand: &mut Stand) -> Option<()> {
    let what = input.byte()?;
    let side = match what & 0x80 {
        0 => Side::Client,
        _ => Side::Server,
    };
    let comes = what & 0x40 == 0;
    match what & 0x1f {
        0 => {
            let n = usize::from(input.byte()?);
            stand.speech.said[side].extend_from_slice(input.take(n));
        }
        1 => {
            let n = u64::from(input.byte()?);
            stand.wait(Duration::from_millis(n * n));
            return Some(());
        }
        2 | 3 => return rules(input, stand, comes),
        4 => {
            let outcome = match input.byte()? & 1 {
                0 => Ok(()),
                _ => Err("etcd does not answer".to_owned()),
            };
            if let Some(errand) = stand.errands.pop_front() {
                let stream = errand.stream;
                stand.session.handle_errand(stream, outcome, stand.now);
                stand.drain(None);
            }
            return Some(());
        }
        5 => {
            let how = match input.byte()? & 1 {
                0 => EndOfBytes::Closed,
                _ => EndOfBytes::Lost,
            };
            stand.close(side, how);
            return Some(());
        }
        6 => {
            let n = usize::from(input.byte()?);
            stand.hear(side, n);
            return Some(());
        }
        7 => {
            let code = ErrorCode(u32::from(input.byte()? % 16));
            stand.speech.reset(side, input.byte()?, code);
        }
        8 | 9 => stand.speech.open(input.byte()?),
        10..=13 => {
            let (which, how) = (input.byte()?, input.byte()?);
            stand.speech.message(side, which, how);
        }
        14 | 15 => {
            let (which, n) = (input.byte()?, input.byte()?);
            stand.speech.more(side, which, usize::from(n) * 40);
        }
        16 | 17 => stand.speech.end(side, input.byte()?),
        18 | 19 => {
            let (which, how) = (input.byte()?, input.byte()?);
            stand.speech.credit(side, which, how);
        }
        20 => {
            let (which, value) = (input.byte()?, input.byte()?);
            stand.speech.settings(side, which, value);
        }
        21 => stand.speech.acknowledge(side),
        22 => stand.speech.ping(side, input.byte()?),
        23 => stand.speech.rest(side, input.byte()?),
        // A whole call.
        24 => {
            let how = input.byte()?;
            stand.speech.open(how);
            stand.speech.message(Side::Client, 0, 0x80);
            stand.hear(Side::Client, 0);
            return Some(());
        }
        // And its answer.
        25 => {
            let which = input.byte()?;
            stand.speech.message(Side::Server, which, 0);
            stand.speech.end(Side::Server, which);
            stand.hear(Side::Server, 0);
            return Some(());
        }
        _ => return Some(()),
    }
    if comes {
        stand.hear(side, 0);
    }
    Some(())
}

/// Somebody changes the faults; `told`: the session hears of it at once.
fn rules(input: &mut Input<'_>, stand: &mut Stand, told: bool) -> Option<()> {
    let (what, name) = (input.byte()?, input.pick(&NAMES)?);
    let (armory, now) = (&stand.armory, stand.now);
    // What cannot be done is refused, and changes nothing.
    match what % 8 {
        0 => drop(armory.clear()),
        1 => drop(armory.remove(name)),
        2 => drop(armory.pause(name)),
        3 => drop(armory.resume(name)),
        4 | 5 => {
            let fault = plan::fault(name, input)?;
            let lives = (what & 8 == 8).then(|| Duration::from_millis(500));
            drop(armory.add(fault, lives, now));
        }
        6 => {
            let fault = plan::fault(name, input)?;
            drop(armory.change(name, fault, None, now));
        }
        _ => {}
    }
    if told {
        stand.session.handle_change(now);
        stand.drain(None);
    }
    Some(())
}
