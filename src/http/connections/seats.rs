//! Places for what clients may have many of. One address gets a part of them, and all addresses together leave as much to this host and to proxies, so
//! that nobody can lock out all others.

use std::collections::HashMap;
use std::net::IpAddr;

/// One address gets this part of the places, and so do those that are not limited.
const SHARE: usize = 8;

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// All are taken that there are for such a caller.
    All,
    /// This address has so many, as many as it may.
    Of(IpAddr, usize),
}

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

impl Seats {
    /// So many places.
    pub fn new(max: usize) -> Self {
        Self { max, taken: 0, addresses: HashMap::new() }
    }

    /// Takes a place for somebody at this address; none for one that is not limited.
    ///
    /// # Errors
    /// [`Full`] when there is no place, or the address has as many as it may.
    pub fn take(&mut self, from: Option<IpAddr>) -> Result<(), Full> {
        let each = self.max.div_ceil(SHARE);
        let kept = if from.is_some() { self.max / SHARE } else { 0 };
        if self.taken + kept >= self.max {
            return Err(Full::All);
        }
        if let Some(from) = from {
            let held = self.addresses.entry(from).or_default();
            if *held >= each {
                return Err(Full::Of(from, each));
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
        let mut seats = Seats::new(32);
        let [one, other] = [1, 2].map(|last| Some(IpAddr::from([192, 0, 2, last])));
        for _ in 0..4 {
            seats.take(one).unwrap();
        }
        assert_eq!(seats.take(one), Err(Full::Of(one.unwrap(), 4)));
        assert!(seats.take(other).is_ok());
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

    #[test]
    fn many_addresses_leave_places_to_this_host() {
        let mut seats = Seats::new(32);
        let taken = (0..64).filter(|last| seats.take(Some(IpAddr::from([192, 0, 2, *last]))).is_ok()).count();
        assert_eq!(taken, 28);
        assert!((0..4).all(|_| seats.take(None).is_ok()) && seats.take(None) == Err(Full::All));
    }
}
