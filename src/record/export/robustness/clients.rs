//! Which client a call is told as: one whose calls do not overlap with it.

use rustc_hash::FxHashMap;

use super::model::Operation;

/// Gives out clients.
#[derive(Debug, Default)]
pub(super) struct Clients {
    given: u64,
    /// Of a connection: its clients, and when the last call of each returned.
    /// The one that was busy last stands last.
    of_connection: FxHashMap<u64, Vec<(i64, u64)>>,
    /// Calls of which nobody knows when they returned, if ever.
    pub without_end: Vec<(u64, Operation)>,
}

impl Clients {
    /// A client of the connection that was free by then. Calls come in the order
    /// in which they return.
    pub fn free_at(&mut self, conn: u64, call: i64, returned: i64) -> u64 {
        let clients = self.of_connection.entry(conn).or_default();
        // The one that has been free for the shortest time leaves the others to
        // calls that began earlier.
        let free = clients.iter().rposition(|(until, _)| *until < call);
        let client = match free {
            Some(at) => clients.remove(at).1,
            None => {
                self.given += 1;
                self.given
            }
        };
        let at = clients.partition_point(|(until, _)| *until <= returned);
        clients.insert(at, (returned, client));
        client
    }

    /// A client that has this one call.
    pub fn alone(&mut self) -> u64 {
        self.given += 1;
        self.given
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_one_client_follow_each_other() {
        let mut clients = Clients::default();
        let calls = [(1, 10), (2, 11), (11, 12), (3, 20), (13, 21), (12, 22)];
        let mut last = FxHashMap::default();
        for (call, returned) in calls {
            let client = clients.free_at(7, call, returned);
            let before = last.insert(client, returned).unwrap_or(0);
            assert!(call > before, "{client}: {call} is not after {before}");
        }
        assert_eq!(last.len(), 3);
        assert!(!last.contains_key(&clients.free_at(8, 100, 101)));
    }
}
