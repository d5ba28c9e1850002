//! What a frame header may say, and where (RFC 9113, sections 4 to 6).

use crate::http2::{ErrorCode, Flags, FrameHeader, FrameType, Offence, Side, StreamId};

/// The largest field block that is put together, in payload bytes of all its
/// frames. etcd and the API server stay under one KiB.
pub const MAX_HEADER_BLOCK: u32 = 256 * 1024;

/// How many frames of a field block may be empty and not its last.
pub const MAX_EMPTY_CONTINUATIONS: u32 = 32;

/// The largest SETTINGS payload that is read: what every receiver accepts.
pub const MAX_SETTINGS_PAYLOAD: u32 = 16_384;

const OWN_LIMIT: &str = "a limit of etcdtap";

#[cold]
pub(super) fn no_preface(sender: Side) -> Offence {
    Offence::new(
        sender,
        ErrorCode::PROTOCOL_ERROR,
        StreamId::CONNECTION,
        "RFC 9113 section 3.4",
        "does not speak HTTP/2: its first bytes are not the connection preface",
    )
}

/// The first frame of either side is SETTINGS (section 3.4).
pub(super) fn check_first(sender: Side, header: FrameHeader) -> Result<(), Offence> {
    if header.kind == FrameType::SETTINGS && !header.flags.contains(Flags::ACK) {
        return Ok(());
    }
    let what = if header.encode().starts_with(b"HTTP/1.") {
        "answered in HTTP/1 on an HTTP/2 connection".into()
    } else {
        let acknowledgement = match header.kind {
            FrameType::SETTINGS => " acknowledgement",
            _ => "",
        };
        format!(
            "began with a {}{acknowledgement} frame instead of its SETTINGS",
            header.kind
        )
    };
    Err(Offence::new(
        sender,
        ErrorCode::PROTOCOL_ERROR,
        header.stream,
        "RFC 9113 section 3.4",
        what,
    ))
}

/// A field block is not interrupted, and CONTINUATION comes only inside one
/// (sections 4.3 and 6.10).
pub(super) fn check_order(
    sender: Side,
    header: FrameHeader,
    open_block: Option<StreamId>,
) -> Result<(), Offence> {
    let FrameHeader { kind, stream, .. } = header;
    let what = match open_block {
        Some(open) if kind == FrameType::CONTINUATION && stream == open => return Ok(()),
        Some(open) => format!(
            "sent a {kind} frame on stream {stream} in the middle of the header block of stream \
             {open}"
        ),
        None if kind == FrameType::CONTINUATION => {
            format!("sent a CONTINUATION frame on stream {stream}, where no header block is open")
        }
        None => return Ok(()),
    };
    Err(protocol_error(
        sender,
        header,
        "RFC 9113 section 6.10",
        what,
    ))
}

/// The size and the stream of a frame by itself.
pub(super) fn check_header(
    sender: Side,
    header: FrameHeader,
    max_frame_size: u32,
) -> Result<(), Offence> {
    let FrameHeader {
        length,
        kind,
        flags,
        stream,
    } = header;
    if length > max_frame_size {
        return Err(size_error(
            sender,
            header,
            "RFC 9113 section 4.2",
            format!(
                "sent a {kind} frame of {length} bytes on stream {stream}, more than the \
                 {max_frame_size} allowed"
            ),
        ));
    }
    let rule = section(kind);
    match kind {
        FrameType::DATA
        | FrameType::HEADERS
        | FrameType::PRIORITY
        | FrameType::RST_STREAM
        | FrameType::PUSH_PROMISE
        | FrameType::CONTINUATION
            if stream.is_connection() =>
        {
            let what = format!("sent a {kind} frame on stream 0, which belongs to the connection");
            return Err(protocol_error(sender, header, rule, what));
        }
        FrameType::SETTINGS | FrameType::PING | FrameType::GOAWAY if !stream.is_connection() => {
            let what =
                format!("sent a {kind} frame on stream {stream}, but it belongs on stream 0");
            return Err(protocol_error(sender, header, rule, what));
        }
        FrameType::PUSH_PROMISE if sender == Side::Client => {
            let what = format!("sent a PUSH_PROMISE frame on stream {stream}; clients cannot push");
            return Err(protocol_error(sender, header, "RFC 9113 section 8.4", what));
        }
        _ => {}
    }
    let expected = match kind {
        FrameType::PRIORITY if length != 5 => "5",
        FrameType::RST_STREAM | FrameType::WINDOW_UPDATE if length != 4 => "4",
        FrameType::PING if length != 8 => "8",
        FrameType::GOAWAY if length < 8 => "at least 8",
        FrameType::SETTINGS if flags.contains(Flags::ACK) && length != 0 => {
            "0, as an acknowledgement has"
        }
        FrameType::SETTINGS if !length.is_multiple_of(6) => "a multiple of 6",
        FrameType::DATA | FrameType::HEADERS | FrameType::PUSH_PROMISE
            if length < fixed_len(kind, flags) =>
        {
            "what its flags call for"
        }
        FrameType::SETTINGS if length > MAX_SETTINGS_PAYLOAD => {
            let what = format!(
                "sent a SETTINGS frame of {length} bytes, more than the {MAX_SETTINGS_PAYLOAD} \
                 that are read here"
            );
            return Err(Offence::new(
                sender,
                ErrorCode::ENHANCE_YOUR_CALM,
                stream,
                OWN_LIMIT,
                what,
            ));
        }
        _ => return Ok(()),
    };
    let on = on_stream(stream);
    let what = format!("sent a {kind} frame of {length} bytes{on} instead of {expected}");
    Err(size_error(sender, header, rule, what))
}

/// What must stand before a frame's data or field block fragment.
pub(super) fn fixed_len(kind: FrameType, flags: Flags) -> u32 {
    let pad_length = u32::from(flags.contains(Flags::PADDED));
    pad_length
        + match kind {
            FrameType::HEADERS if flags.contains(Flags::PRIORITY) => 5,
            FrameType::PUSH_PROMISE => 4,
            _ => 0,
        }
}

/// Padding leaves something of the payload (section 6.1): `room` is what stands
/// behind the pad length and the other fixed fields.
pub(super) fn check_padding(
    sender: Side,
    header: FrameHeader,
    padding: u8,
    room: u32,
) -> Result<(), Offence> {
    if u32::from(padding) <= room {
        return Ok(());
    }
    let FrameHeader {
        length,
        kind,
        stream,
        ..
    } = header;
    let what = format!(
        "sent a {kind} frame of {length} bytes on stream {stream} with {padding} bytes of \
         padding, more than it has room for"
    );
    Err(protocol_error(sender, header, section(kind), what))
}

/// Bounds on a field block as a whole.
pub(super) fn check_block(
    sender: Side,
    header: FrameHeader,
    length: u32,
    empty_frames: u32,
) -> Result<(), Offence> {
    let stream = header.stream;
    let what = if length > MAX_HEADER_BLOCK {
        format!(
            "sent a header block of at least {length} bytes on stream {stream}, more than the \
             {MAX_HEADER_BLOCK} that are put together here: header block too large"
        )
    } else if empty_frames > MAX_EMPTY_CONTINUATIONS {
        format!("flooded the header block of stream {stream} with empty CONTINUATION frames")
    } else {
        return Ok(());
    };
    Err(Offence::new(
        sender,
        ErrorCode::ENHANCE_YOUR_CALM,
        stream,
        OWN_LIMIT,
        what,
    ))
}

/// The section of RFC 9113 that defines a frame type.
pub(super) fn section(kind: FrameType) -> &'static str {
    match kind {
        FrameType::DATA => "RFC 9113 section 6.1",
        FrameType::HEADERS => "RFC 9113 section 6.2",
        FrameType::PRIORITY => "RFC 9113 section 6.3",
        FrameType::RST_STREAM => "RFC 9113 section 6.4",
        FrameType::SETTINGS => "RFC 9113 section 6.5",
        FrameType::PUSH_PROMISE => "RFC 9113 section 6.6",
        FrameType::PING => "RFC 9113 section 6.7",
        FrameType::GOAWAY => "RFC 9113 section 6.8",
        FrameType::WINDOW_UPDATE => "RFC 9113 section 6.9",
        FrameType::CONTINUATION => "RFC 9113 section 6.10",
        _ => "RFC 9113 section 5.5",
    }
}

fn on_stream(stream: StreamId) -> String {
    match stream.is_connection() {
        true => String::new(),
        false => format!(" on stream {stream}"),
    }
}

#[cold]
pub(super) fn protocol_error(
    sender: Side,
    header: FrameHeader,
    rule: &'static str,
    what: String,
) -> Offence {
    Offence::new(sender, ErrorCode::PROTOCOL_ERROR, header.stream, rule, what)
}

#[cold]
fn size_error(sender: Side, header: FrameHeader, rule: &'static str, what: String) -> Offence {
    Offence::new(
        sender,
        ErrorCode::FRAME_SIZE_ERROR,
        header.stream,
        rule,
        what,
    )
}
