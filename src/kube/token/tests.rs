use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use proptest::prelude::*;

use super::*;

/// A service account token in form: three parts, 300 characters.
fn token() -> String {
    let header = BASE64URL_NOPAD.encode(br#"{"alg":"RS256","kid":"0123456789abcdefgh"}"#);
    let payload = BASE64URL_NOPAD.encode(
        br#"{"iss":"kubernetes/serviceaccount","sub":"system:serviceaccount:lab:default"}"#,
    );
    let signature: Vec<u8> = (0..100u8).map(|i| i.wrapping_mul(37)).collect();
    let signature = BASE64URL_NOPAD.encode(&signature);
    format!("{header}.{payload}.{signature}")
}

/// A token in every encoding, and what of the text around shares its run.
fn encodings() -> Vec<(String, Vec<u8>)> {
    let token = token();
    let mut all = vec![
        ("plain".to_owned(), token.clone().into_bytes()),
        ("hex".to_owned(), HEXLOWER.encode(token.as_bytes()).into()),
        ("HEX".to_owned(), HEXUPPER.encode(token.as_bytes()).into()),
        (
            "UTF-16LE".to_owned(),
            token.bytes().flat_map(|byte| [byte, 0]).collect(),
        ),
        (
            "UTF-16BE".to_owned(),
            token.bytes().flat_map(|byte| [0, byte]).collect(),
        ),
    ];
    for inner in 0..3 {
        let text = format!("{}{token}", &"\"=!"[..inner]);
        for (name, encoding) in [("base64", BASE64), ("base64url", BASE64URL_NOPAD)] {
            let once = encoding.encode(text.as_bytes());
            for (how, end) in [
                ("lines", "\n"),
                ("CRLF", "\r\n"),
                ("JSON lines", "\\n"),
                ("indented", "\n    "),
            ] {
                for width in [64, 76] {
                    let lines = once.as_bytes().chunks(width);
                    let lines: Vec<_> = lines.map(|l| str::from_utf8(l).unwrap()).collect();
                    let name = format!("{name} {inner} in {how} of {width}");
                    all.push((name, lines.join(end).into_bytes()));
                }
            }
            for outer in 0..3 {
                let text = format!("{}{once}", &"{:;"[..outer]);
                let twice = encoding.encode(text.as_bytes());
                all.push((format!("{name} {inner} {outer}"), twice.into()));
            }
            let escaped = once.replace('/', "\\/");
            all.push((format!("{name} {inner} escaped"), escaped.into()));
            all.push((format!("{name} {inner}"), once.into_bytes()));
        }
    }
    all
}

fn ranges(bytes: &[u8]) -> Vec<Range<usize>> {
    Search::new(bytes).collect()
}

#[test]
fn a_token_is_found_in_every_encoding_and_alignment() {
    for (name, encoded) in encodings() {
        for (before, after) in [("", ""), ("\"", "\""), ("a: ", " b"), ("é\0", "\n\n")] {
            let text = [before.as_bytes(), &encoded, after.as_bytes()].concat();
            assert!(suspected(&text), "{name}");
            let found = ranges(&text);
            let [found] = &found[..] else {
                panic!("{name}: {found:?}");
            };
            // A few characters of what stood before the token, or its first half
            // byte.
            assert!(found.start <= before.len() + 7, "{name}: {found:?}");
            let end = before.len() + encoded.len();
            assert!(found.end == end, "{name}: {found:?}, {end}");
        }
    }
}

#[test]
fn two_tokens_are_two() {
    let token = token();
    let text = format!("a={token}, b={token}");
    assert_eq!(
        ranges(text.as_bytes()),
        [2..2 + token.len(), text.len() - token.len()..text.len()]
    );
}

#[test]
fn a_line_may_be_broken_anywhere_in_a_token_in_base64() {
    for alignment in 0..3 {
        let text = format!("{}{}", &"\"=!"[..alignment], token());
        let encoded = BASE64.encode(text.as_bytes());
        for end in ["\n", "\\n", "\r\n    "] {
            for first in 1..40 {
                let (head, rest) = encoded.split_at(first);
                let lines = rest.as_bytes().chunks(76);
                let lines: Vec<_> = lines.map(|line| str::from_utf8(line).unwrap()).collect();
                let wrapped = format!("{head}{end}{}", lines.join(end));
                let found = ranges(wrapped.as_bytes());
                let start = found.first().expect("a token").start;
                assert!(
                    start <= 12 + end.len(),
                    "{alignment} {first} {end:?}: {start}"
                );
                assert_eq!(found.last().unwrap().end, wrapped.len());
            }
        }
    }
}

#[test]
fn characters_may_be_escaped_in_a_url() {
    let token = token().replace('.', "%2E").replace('_', "%5f");
    let url = format!("/x?t={token}%26y=1");
    assert_eq!(ranges(url.as_bytes()).first(), Some(&(5..5 + token.len())));
}

#[test]
fn a_header_that_is_not_common_needs_its_payload() {
    let header = BASE64URL_NOPAD.encode(br#"{"jku":"x","alg":"RS256"}"#);
    let token = format!("{header}.eyJzdWIiOiJ4In0.c2ln");
    assert_eq!(ranges(token.as_bytes()).first(), Some(&(0..token.len())));
    let twice = BASE64.encode(format!(":{token}").as_bytes());
    assert_eq!(ranges(twice.as_bytes()).len(), 1);
    for other in [
        &header[..],
        "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MTAsInN0YXJ0Ijoid2ViXHUwMDAwIn0",
        "eyJ",
        "eyJhdXRocyI6eyJ4Ijp7fX19.next",
        "the eyJafjallajokull of 2010",
        "65794a",
        "ZXlK",
    ] {
        assert!(ranges(other.as_bytes()).is_empty(), "{other}");
    }
}

#[test]
fn tokens_are_found_at_every_place_of_a_text_in_parts() {
    let filler = |n: usize| "x y ".repeat(n / 4);
    for (name, encoded) in encodings() {
        if name.contains(" of 7") || name.contains("url") {
            continue;
        }
        for shift in (0..encoded.len()).step_by(13).chain([1, 2, 3]) {
            let text = [
                filler(LOOKAHEAD).as_bytes(),
                b"\"",
                &encoded,
                b"\" ",
                filler(LOOKAHEAD).as_bytes(),
            ]
            .concat();
            // A part ends within the token, or around it.
            let cut = LOOKAHEAD + shift;
            assert_eq!(in_parts(&text, cut), ranges(&text), "{name} {shift}");
        }
    }
}

/// The tokens of a text whose first part ends, for beginnings, at `cut`.
fn in_parts(text: &[u8], cut: usize) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let first = &text[..text.len().min(cut + LOOKAHEAD)];
    let mut search = Search::part(first, cut, None);
    found.extend(search.by_ref());
    let (done, inside) = search.rest();
    let search = Search::part(&text[done..], text.len() - done, inside);
    found.extend(search.map(|range| range.start + done..range.end + done));
    found
}

#[test]
fn a_long_run_comes_in_parts() {
    for (name, unit) in [("plain", "abcd"), ("base64", "QUJD"), ("UTF-16", "")] {
        let mut text = match name {
            "plain" => format!("\"eyJhbGci{}", unit.repeat(3 * MOST_RUN / 4)).into_bytes(),
            "base64" => format!("\"ZXlKaGJHY2kO{}", unit.repeat(3 * MOST_RUN / 4)).into_bytes(),
            _ => format!("\"eyJhbGci{}", "abcd".repeat(MOST_RUN))
                .bytes()
                .flat_map(|byte| [byte, 0])
                .collect(),
        };
        let end = text.len();
        text.extend_from_slice(b"\" other");
        let found = ranges(&text);
        assert!(found.len() > 2, "{name}");
        assert!(
            found.iter().all(|range| range.len() <= MOST_RUN + 8),
            "{name}"
        );
        assert!(
            found.windows(2).all(|two| two[0].end == two[1].start),
            "{name}"
        );
        assert_eq!(found.last().unwrap().end, end, "{name}");
        for cut in [0, 1, 5, 100, MOST_RUN - 1, MOST_RUN, MOST_RUN + 1] {
            if cut + LOOKAHEAD <= text.len() {
                assert_eq!(in_parts(&text, cut), found, "{name} {cut}");
            }
        }
    }
}

#[test]
fn beginnings_without_number_cost_no_time_without_bound() {
    let text = "eyJ".repeat(200_000);
    let found = ranges(text.as_bytes());
    // When too many were looked at in vain, the rest is hidden.
    assert_eq!(found.last().map(|range| range.end), Some(text.len()));
}

#[test]
fn text_is_scrubbed_and_says_so() {
    let token = token();
    assert!(matches!(scrub("no token here"), Cow::Borrowed(_)));
    assert!(matches!(scrub("eyJust words"), Cow::Borrowed(_)));
    let said = format!("[redacted: token of {} bytes]", token.len());
    assert_eq!(
        scrub(&format!("é?token={token}&é")),
        format!("é?token={said}&é")
    );
    let mut out = format!("{token} {token}").into_bytes();
    scrub_tail(&mut out, token.len());
    assert_eq!(out, format!("{token} {said}").into_bytes());
}

#[test]
fn the_slow_search_finds_what_the_fast_one_does() {
    let slow = Beginnings::new(false);
    assert!(slow.fast.is_none());
    for (name, encoded) in encodings() {
        let text = [b"some text before it: ", &encoded[..]].concat();
        assert_eq!(slow.find(&text, 0), BEGINNINGS.find(&text, 0), "{name}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        text in "([a-c.]|eyJ|hbGci|ZXlK|V5S|leU|65794a|\n|\\\\n| |\\.eyJ){0,60}",
        until in 0usize..200,
    ) {
        for bytes in [&bytes[..], text.as_bytes()] {
            let found = ranges(bytes);
            prop_assert!(found.iter().all(|range| range.start < range.end && range.end <= bytes.len()));
            prop_assert!(found.windows(2).all(|two| two[0].end <= two[1].start));
            let _ = Search::part(bytes, until.min(bytes.len()), None).count();
        }
        let slow = Beginnings::new(false);
        prop_assert_eq!(slow.find(text.as_bytes(), 0), BEGINNINGS.find(text.as_bytes(), 0));
        let _ = scrub(&text);
    }
}
