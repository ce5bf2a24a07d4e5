//! Keys that nobody has. They are counted wherever a caller may learn that they are wrong: also where a read needs none, and a right one shows
//! more.

use std::net::IpAddr;

use acefleet_registry::KeyHash;

use crate::http::answer::problem::Problem;
use crate::http::app::App;
use crate::http::connections::slots;
use crate::http::request::known::Refused;
use crate::http::request::refusals::Reason;

/// Counts wrong keys that a caller from this address shows at this route, and says what to answer where one is needed.
pub(crate) fn wrong_key(app: &App, from: Option<IpAddr>, shown: Vec<KeyHash>, route: &str) -> Problem {
    let counted = from.and_then(|from| slots::counted(from, &app.fleet().config().trusted_proxies));
    let (reason, problem) = match app.rates().guess(counted, shown) {
        Ok(()) => (Reason::WrongKey, Refused::WrongKey.into()),
        Err(too_many) => (too_many.what, too_many.into()),
    };
    app.refusals().note(reason, from, route, None);
    problem
}
