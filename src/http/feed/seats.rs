//! Places for readers of the feed. One address gets a part of them, so that nobody can lock out all others.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::http::answer::problem::Problem;

/// Readers of a node unless it has fewer connections.
const READERS_MAX: usize = 2_000;
/// One address gets this part of the places.
const SHARE_OF_ADDRESS: usize = 8;

/// Places, and who has them.
#[derive(Debug)]
pub(crate) struct Seats {
    /// Places in all.
    pub max: usize,
    /// Those that are taken.
    pub taken: usize,
    /// By address, of those that are limited.
    addresses: HashMap<IpAddr, usize>,
}

impl Default for Seats {
    fn default() -> Self {
        Self { max: READERS_MAX, taken: 0, addresses: HashMap::new() }
    }
}

impl Seats {
    /// Takes a place for a reader from this address; none for one that is not limited.
    ///
    /// # Errors
    /// 503 when there is no place, or the address has as many as it may.
    pub fn take(&mut self, from: Option<IpAddr>) -> Result<(), Problem> {
        if self.taken >= self.max {
            return Err(Problem::busy("this node has as many readers of its feed as it can"));
        }
        if let Some(from) = from {
            let each = self.max.div_ceil(SHARE_OF_ADDRESS);
            let held = self.addresses.entry(from).or_default();
            if *held >= each {
                let detail = format!("{from} has {each} readers of this node's feed, as many as it may have");
                return Err(Problem::busy(&detail));
            }
            *held += 1;
        }
        self.taken += 1;
        Ok(())
    }

    /// Gives back a place that was taken from this address.
    pub fn leave(&mut self, from: Option<IpAddr>) {
        self.taken -= 1;
        let Some(from) = from else { return };
        let Some(held) = self.addresses.get_mut(&from) else { return };
        *held -= 1;
        if *held == 0 {
            self.addresses.remove(&from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_gets_a_part_of_the_places_and_a_proxy_all_that_are_left() {
        let mut seats = Seats { max: 32, ..Seats::default() };
        let [one, other] = [1, 2].map(|last| Some(IpAddr::from([192, 0, 2, last])));
        for _ in 0..4 {
            seats.take(one).unwrap();
        }
        assert!(seats.take(one).is_err() && seats.take(other).is_ok());
        seats.leave(one);
        assert!(seats.take(one).is_ok());
        for _ in 5..32 {
            seats.take(None).unwrap();
        }
        assert!(seats.take(None).is_err() && seats.take(other).is_err());
        for from in [one, one, one, one, other] {
            seats.leave(from);
        }
        assert_eq!((seats.taken, seats.addresses.len()), (27, 0), "nothing is kept of who has gone");
    }
}
