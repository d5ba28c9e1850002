//! The lines that a running program prints, as they come.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::watch;

use super::patience::soon;

/// The lines of one output, read in the background.
#[derive(Debug, Clone)]
pub struct Lines {
    read: Arc<Mutex<Vec<String>>>,
    /// How many lines there are; closed when the output is.
    count: watch::Receiver<usize>,
}

impl Lines {
    /// Reads lines until the output ends.
    pub fn follow(output: impl AsyncRead + Unpin + Send + 'static) -> Lines {
        let read = Arc::new(Mutex::new(Vec::new()));
        let (counter, count) = watch::channel(0);
        let lines = Lines {
            read: Arc::clone(&read),
            count,
        };
        tokio::spawn(async move {
            let mut output = BufReader::new(output);
            let mut line = Vec::new();
            while let Ok(1..) = output.read_until(b'\n', &mut line).await {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                line.clear();
                let mut read = read.lock().unwrap();
                read.push(text);
                counter.send_replace(read.len());
            }
        });
        lines
    }

    /// All lines so far.
    pub fn all(&self) -> Vec<String> {
        self.read.lock().unwrap().clone()
    }

    /// All lines so far, in one piece.
    pub fn text(&self) -> String {
        self.all().join("\n")
    }

    /// How many lines so far match.
    pub fn count(&self, matches: impl Fn(&str) -> bool) -> usize {
        let read = self.read.lock().unwrap();
        read.iter().filter(|line| matches(line)).count()
    }

    /// The first line that matches, waited for; `None` if the output ends
    /// before there is one.
    pub async fn find(&self, matches: impl Fn(&str) -> bool) -> Option<String> {
        let mut count = self.count.clone();
        let mut seen = 0;
        let search = async {
            loop {
                // Whether more can come is asked first: what is there by then
                // is all there will be.
                let ended = count.has_changed().is_err();
                let all = self.all();
                if let Some(line) = all[seen..].iter().find(|line| matches(line)) {
                    return Some(line.clone());
                }
                seen = all.len();
                if ended {
                    return None;
                }
                let _ = count.changed().await;
            }
        };
        match tokio::time::timeout(super::patience::PATIENCE, search).await {
            Ok(found) => found,
            Err(_) => panic!("waited in vain for a line; there are:\n{}", self.text()),
        }
    }

    /// Like [`Lines::find`], for a line that must come.
    pub async fn wait_for(&self, matches: impl Fn(&str) -> bool) -> String {
        match self.find(matches).await {
            Some(line) => line,
            None => panic!("the output ended without the line:\n{}", self.text()),
        }
    }

    /// Waits until the output is closed.
    pub async fn wait_for_end(&self) {
        let mut count = self.count.clone();
        soon("the output's end", async {
            while count.changed().await.is_ok() {}
        })
        .await;
    }
}
