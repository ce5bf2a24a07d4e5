//! The limits by a clock of their own.

use governor::clock::FakeRelativeClock;

use super::*;
use crate::access::hash;
use crate::http::roles::OPERATIONS;

const ONE: Pace = Pace::Changes(NonZeroU32::MIN);

fn rates(times: u32) -> (Rates<FakeRelativeClock>, FakeRelativeClock) {
    let clock = FakeRelativeClock::default();
    (Rates::new(times, clock.clone()), clock)
}

fn address(last: u8) -> Option<IpAddr> {
    Some(IpAddr::from([203, 0, 113, last]))
}

fn key(number: u32) -> impl Iterator<Item = KeyHash> {
    std::iter::once(hash(format!("wrong-{number}").as_bytes()))
}

/// How many of these are let in before the first that is not.
fn until_refused(mut call: impl FnMut() -> Result<(), TooMany>) -> (usize, TooMany) {
    (0..100_000).find_map(|passed| call().err().map(|refused| (passed, refused))).expect("there is a limit")
}

#[test]
fn an_address_that_tries_keys_is_slowed_and_one_wrong_key_never_is() {
    let (rates, clock) = rates(1);
    for _ in 0..10_000 {
        rates.guess(address(1), key(0)).unwrap();
    }
    let mut next = 0..;
    let (passed, refused) = until_refused(|| rates.guess(address(1), key(next.next().unwrap())));
    assert_eq!((passed, refused), (10, TooMany { what: Reason::ManyKeys, wait_s: 6 }));
    rates.guess(address(1), key(0)).expect("it is no new one, so nobody learns or loses anything");
    rates.guess(address(2), key(11)).expect("it is another address");
    clock.advance(Duration::from_secs(6));
    rates.guess(address(1), key(11)).unwrap();
    assert!(rates.guess(address(1), key(12)).is_err());
    rates.guess(None, (0..100).flat_map(key)).expect("nobody knows whose they are");
}

#[test]
fn two_keys_in_one_call_are_two() {
    let (rates, _) = rates(1);
    let mut next = (0..).step_by(2);
    let mut pair = || next.next().map(|number| key(number).chain(key(number + 1))).unwrap();
    assert_eq!(until_refused(|| rates.guess(address(1), pair())).0, 5);
}

#[test]
fn one_program_does_not_use_up_the_limit_of_its_key() {
    let (rates, clock) = rates(1);
    let (ops, guest) =
        (Credential::Named("ops".parse().unwrap()), Credential::Named("guest".parse().unwrap()));
    let call = |last: u8, by: &Credential| rates.call(ONE, address(last), Some(by));
    let (passed, refused) = until_refused(|| call(1, &ops));
    assert_eq!((passed, refused), (300, TooMany { what: Reason::ManyCalls, wait_s: 1 }));
    assert!(call(1, &guest).is_err(), "the address is the same");
    call(2, &ops).unwrap();
    // Four of them do.
    for last in 3..=5 {
        until_refused(|| call(last, &ops));
    }
    until_refused(|| call(2, &ops));
    assert!(call(6, &ops).is_err());
    call(7, &guest).unwrap();
    call(8, &Credential::ApiKey).unwrap();
    call(1, &Credential::HostToken).expect("whoever is on the host has to get through");
    clock.advance(Duration::from_secs(1));
    assert_eq!(until_refused(|| call(1, &ops)).0, 10);
}

#[test]
fn addresses_that_are_not_counted_are_limited_by_their_keys() {
    let (rates, _) = rates(1);
    let (passed, _) = until_refused(|| rates.call(ONE, None, Some(&Credential::ApiKey)));
    assert_eq!(passed, 1_200);
    for _ in 0..10_000 {
        rates.call(ONE, None, Some(&Credential::Nothing)).unwrap();
    }
}

#[test]
fn starts_have_a_limit_of_their_own() {
    let (rates, clock) = rates(1);
    let by = Credential::ApiKey;
    until_refused(|| rates.call(ONE, address(1), Some(&by)));
    let start = || rates.call(Pace::Start, address(1), Some(&by));
    assert_eq!(until_refused(start).0, 1_000);
    clock.advance(Duration::from_secs(1));
    assert_eq!(until_refused(start).0, 100);
    for _ in 0..10_000 {
        rates.call(Pace::Free, address(1), Some(&by)).unwrap();
    }
}

#[test]
fn every_operation_fits_into_its_limit() {
    let (rates, _) = rates(1);
    for (last, (method, path, _)) in (0_u8..).zip(OPERATIONS) {
        let pace = Pace::of(method, path);
        rates.call(pace, address(last), Some(&Credential::ApiKey)).unwrap();
        if let Pace::Changes(cost) = pace {
            assert!(cost <= CHANGES.1, "{path} would never be limited");
        }
    }
    let backup = Pace::of(&axum::http::Method::GET, "/cluster/backup");
    let (passed, refused) = until_refused(|| rates.call(backup, address(200), Some(&Credential::ApiKey)));
    assert_eq!((passed, refused.wait_s), (10, 3));
}

#[test]
fn limits_can_be_raised_and_switched_off() {
    let by = Credential::ApiKey;
    let (many, _) = rates(7);
    assert_eq!(until_refused(|| many.call(ONE, address(1), Some(&by))).0, 2_100);
    let (none, _) = rates(0);
    for number in 0..5_000 {
        none.call(ONE, address(1), Some(&by)).unwrap();
        none.guess(address(1), key(number)).unwrap();
    }
    let (most, _) = rates(u32::MAX);
    most.call(ONE, address(1), Some(&by)).unwrap();
}

#[test]
fn wrong_keys_of_many_addresses_take_little_memory() {
    let (rates, _) = rates(1);
    for number in 0..20_000_u32 {
        rates.guess(Some(IpAddr::from(number.to_be_bytes())), key(number)).unwrap();
    }
    assert_eq!(rates.limits.unwrap().wrong_keys.lock().unwrap().len(), WRONG_KEYS.get());
}
