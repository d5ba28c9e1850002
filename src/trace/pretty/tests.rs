use super::super::fixtures::{Time, a_little_of_everything};
use super::super::{Colour, Format, Options, Pipeline};

const PRETTY: Format = Format::Pretty {
    colour: Colour::Never,
    width: None,
};

fn log() -> String {
    let time = Time::new();
    let mut pipeline = Pipeline::new(
        Options {
            slow: Some(std::time::Duration::from_millis(200)),
            ..Options::new(PRETTY)
        },
        time.anchor(),
    );
    for event in a_little_of_everything(time) {
        pipeline.handle_event(event);
    }
    pipeline.finish();
    String::from_utf8(pipeline.output().clone()).expect("the log is text")
}

const EXPECTED: &str = r####"
08:05:32.000  12        opened      10.0.0.7:40312 → etcd-0:2379                                            TLSv1.3  sni etcd-0  h2  as kube-apiserver-etcd-client
08:05:32.001  12/345    create      configmaps lab/settings-104                     1.21ms  ↑ 1.60K ↓  28B  @10231  ConfigMap
08:05:32.240  12/345    get         pods kube-system/coredns-7db6d8ff4d-x2x1z        240ms  ↑ 1.60K ↓  28B  @10231  Pod  slow
08:05:32.001  12/345    list_page   pods * after lab/web                            1.21ms  ↑ 1.60K ↓  28B  500 of 1,375 keys  more to come  @10231  Pod
08:05:32.001  12/345    conflict    pods kube-system/coredns-7db6d8ff4d-x2x1z       1.21ms  ↑ 1.60K ↓  28B  wanted @10219, found @10220  @10231  Pod
08:05:32.001  12/345    delete      pods kube-system/coredns-7db6d8ff4d-x2x1z       1.21ms  ↑ 1.60K ↓   0B  CANCELLED  reset by the client: CANCEL
08:05:32.001  12/345    Status                                                      1.21ms  ↑ 1.60K ↓  28B  UNAVAILABLE  etcdserver: no leader\u{1b}[2J
08:05:32.001  12/345    lease_grant lease 694d7a3b1c2d3e4f                          1.21ms  ↑ 1.60K ↓  28B  ttl 3660s  @10231
08:05:32.001  12/345    Range       /odd\xff\u{1b}\\key…                            1.21ms  ↑ 1.60K ↓  28B  0 keys  @10231
08:05:32.002  14/3      watch       pods *                                                                  watch 2 created  from @10232
08:05:32.003  14/3      progress                                                                            watch 2 up to date with @10231
08:05:37.000  14/3      watch       pods *                                                                  watch 2 compacted up to @10300  etcdserver: mvcc: required revision has been compacted  1,866 events
08:05:32.002  14/3      ▸ create    configmaps lab/settings-104                     +800µs          ↓ 1.67K  watch 2  @10231  ConfigMap
08:05:32.002  15        GET         /health                                         2.00ms  ↑   0B  ↓  18B  HTTP 503
08:05:32.003  15        not traced  10.0.0.7:40312 → etcd-0:2379                                            client sent a DATA frame of 20000 bytes on stream 5, more than the 16384 allowed (FRAME_SIZE_ERROR, RFC 9113 section 4.2)
08:05:32.003  15        fault       10.0.0.7:40312 → etcd-0:2379                                            fault black-hole: nothing passes in either direction
08:10:35.000  12        closed      10.0.0.7:40312 → etcd-0:2379                     5m03s  ↑ 5.25M ↓ 24.3M  client closed  3 streams  GOAWAY of the server: ENHANCE_YOUR_CALM too_many_pings  1 reset by the server  server stalled 1.46ms
08:05:32.000  16        failed      10.0.0.7:40312 → etcd-0:2379                     310µs  ↑   0B  ↓   0B  upstream refused: Connection refused (os error 111)  fault stuck-accept: accepted, and nothing said
"####;

#[test]
fn lines_are_as_documented() {
    let log = log();
    for (line, expected) in log.lines().zip(EXPECTED.trim_start().lines()) {
        assert_eq!(line, expected);
    }
    assert_eq!(
        log.lines().count(),
        EXPECTED.trim_start().lines().count(),
        "{log}"
    );
}

#[test]
fn values_never_show() {
    assert!(!log().contains("SECRET"));
}

#[test]
fn colours_change_nothing_but_colours() {
    let time = Time::new();
    let coloured = Format::Pretty {
        colour: Colour::Always,
        width: None,
    };
    let options = Options {
        slow: Some(std::time::Duration::from_millis(200)),
        ..Options::new(coloured)
    };
    let mut pipeline = Pipeline::new(options, time.anchor());
    for event in a_little_of_everything(time) {
        pipeline.handle_event(event);
    }
    pipeline.finish();
    let text = String::from_utf8(pipeline.output().clone()).expect("text");
    let mut plain = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        rest = after.split_once('m').expect("a colour ends").1;
    }
    plain.push_str(rest);
    // Only a space at the end of a line may be left over.
    let trimmed: Vec<_> = plain.lines().map(str::trim_end).collect();
    let expected: Vec<_> = EXPECTED.trim_start().lines().collect();
    assert_eq!(trimmed, expected);
}

#[test]
fn a_narrow_terminal_narrows_the_objects_column() {
    let time = Time::new();
    let narrow = Format::Pretty {
        colour: Colour::Never,
        width: Some(80),
    };
    let mut pipeline = Pipeline::new(Options::new(narrow), time.anchor());
    for event in a_little_of_everything(time) {
        pipeline.handle_event(event);
    }
    let text = String::from_utf8(pipeline.output().clone()).expect("text");
    let get = text.lines().nth(2).expect("a get");
    assert_eq!(
        get,
        "08:05:32.240  12/345    get         pods kube-system/co…4d-x2x1z   240ms  \
         ↑ 1.60K ↓  28B  @10231  Pod"
    );
}
