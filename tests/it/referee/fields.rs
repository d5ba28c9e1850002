//! What a header list may say (RFC 9113, sections 8.1 to 8.3).

use super::hpack::Field;

/// Judges the fields of a block. `first`: it opens the direction; else it is
/// trailers.
pub fn judge(fields: &[Field], request: bool, first: bool, end: bool) -> Result<(), String> {
    let mut pseudo: Vec<&[u8]> = Vec::new();
    let mut regular = false;
    for field in fields {
        let name = &field.name[..];
        let shown = String::from_utf8_lossy(name);
        if name.iter().any(u8::is_ascii_uppercase) || name.is_empty() {
            return Err(format!("the field name {shown:?}"));
        }
        if field
            .value
            .iter()
            .any(|byte| matches!(byte, 0 | b'\r' | b'\n'))
        {
            return Err(format!("the value of {shown:?}"));
        }
        if name[0] != b':' {
            regular = true;
            let hop = ["connection", "keep-alive", "transfer-encoding", "upgrade"];
            if hop.iter().any(|hop| hop.as_bytes() == name) {
                return Err(format!("the connection-specific field {shown:?}"));
            }
            continue;
        }
        if !first {
            return Err(format!("{shown} in trailers"));
        }
        if regular {
            return Err(format!("{shown} after a regular field"));
        }
        if pseudo.contains(&name) {
            return Err(format!("{shown} twice"));
        }
        pseudo.push(name);
    }
    if !first {
        return if end {
            Ok(())
        } else {
            Err("trailers without END_STREAM".into())
        };
    }
    let needed: &[&str] = match request {
        true => &[":method", ":scheme", ":path"],
        false => &[":status"],
    };
    for name in needed {
        if !pseudo.contains(&name.as_bytes()) {
            return Err(format!("no {name}"));
        }
    }
    let allowed = |name: &[u8]| match request {
        true => name == b":authority" || needed.iter().any(|n| n.as_bytes() == name),
        false => name == b":status",
    };
    match pseudo.iter().find(|name| !allowed(name)) {
        Some(name) => Err(format!("{} here", String::from_utf8_lossy(name))),
        None => Ok(()),
    }
}
