//! In front of every operation: whether who calls may. What an operation needs is in [`crate::http::roles`].

use std::time::Duration;

use acefleet_registry::{Credential, KeyHash, KeyName, Role, State as Registry};
use axum::extract::{MatchedPath, Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::access;
use crate::access::session::Session;
use crate::config::{Reads, Secret};
use crate::fleet::Fleet;
use crate::http::answer::problem::Problem;
use crate::http::app::App;
use crate::http::request::door::{Door, Rule};
use crate::http::request::known::{Known, Refused};
use crate::http::request::pass::Pass;
use crate::http::request::rates::TooMany;
use crate::http::request::rates::pace::Pace;
use crate::http::request::refusals::Reason;
use crate::http::request::shown::{self, Shown};
use crate::http::request::{guesses, origin};
use crate::http::roles::{self, Needs};

/// A session that was begun or renewed.
pub(crate) struct SignedIn {
    /// What the caller shows from now on.
    pub token: Secret,
    /// What it says.
    pub session: Session,
    /// How long it lasts.
    pub left: Duration,
}

/// The door of this node with the state behind it.
pub(crate) struct Guard {
    door: Door,
    reads: Reads,
    fleet: Fleet,
}

impl Guard {
    /// The guard of a node.
    pub fn new(fleet: Fleet, token: Option<&Secret>) -> Self {
        let own = access::of_settings(fleet.config());
        let users = fleet.config().users.as_ref().map_or(Role::Viewer, |users| users.role);
        let door = Door::new(own, token, fleet.cluster().signing()).with_users(users);
        Self { door, reads: fleet.config().reads, fleet }
    }

    /// What these headers show.
    fn shown(&self, headers: &HeaderMap) -> Vec<Shown> {
        shown::all(headers, self.fleet.config().users.as_ref().map(|users| &users.header))
    }

    /// Who calls.
    ///
    /// # Errors
    /// Why nobody knows.
    pub fn who(&self, headers: &HeaderMap) -> Result<Known, Refused> {
        self.who_shows(&self.shown(headers))
    }

    /// Those of the keys that a caller shows that nobody has.
    pub fn unknown(&self, headers: &HeaderMap) -> Vec<KeyHash> {
        let is_unknown = |key: &KeyHash| self.who_shows(&[Shown::Key(*key)]) == Err(Refused::WrongKey);
        self.shown(headers).iter().filter_map(Shown::key).filter(is_unknown).collect()
    }

    fn who_shows(&self, shown: &[Shown]) -> Result<Known, Refused> {
        let now = |state: &Registry| self.fleet.cluster().wall_of_cluster(state);
        self.door.who(shown, &self.fleet.view(), now)
    }

    /// Whether a caller may do what needs this, and who it is, if that had to be known.
    ///
    /// # Errors
    /// Why not.
    pub fn let_in(&self, needs: Needs, headers: &HeaderMap) -> Result<Option<Known>, Refused> {
        if !needs.a_key(self.reads) {
            return Ok(None);
        }
        self.admits(needs, &self.shown(headers)).map(Some)
    }

    /// Who has shown this, and whether it is good for what needs this.
    ///
    /// # Errors
    /// Why not.
    pub fn admits(&self, needs: Needs, shown: &[Shown]) -> Result<Known, Refused> {
        let known = self.who_shows(shown)?;
        needs.role().map_or(Ok(()), |role| known.may(role))?;
        if needs == Needs::Host && known.credential != Credential::HostToken {
            return Err(Refused::Elsewhere);
        }
        Ok(known)
    }

    /// What a known caller shows from now on, and until when; none if it has no key that a session could be of, or when nobody has told the time
    /// of day yet.
    pub fn sign_in(&self, known: &Known) -> Option<SignedIn> {
        let view = self.fleet.view();
        let now = self.fleet.cluster().wall_of_cluster(&view.state)?;
        let (token, session) = self.door.sign_in(known, &view, now)?;
        let left = Duration::from_millis(session.ends_at.0.saturating_sub(now.0));
        Some(SignedIn { token, session, left })
    }

    /// Whether a proxy has signed the caller in.
    pub fn knows_user(&self, headers: &HeaderMap) -> bool {
        self.fleet.config().users.is_some()
            && self.who(headers).is_ok_and(|known| known.credential.user().is_some())
    }

    /// Whether everybody may call.
    pub fn is_open(&self) -> bool {
        self.door.rule(&self.fleet.view()) == Rule::Open
    }
}

/// In front of every operation: lets callers in that may call it, and says who they are.
pub(crate) async fn let_in(
    State(app): State<App>,
    path: MatchedPath,
    mut request: Request,
    next: Next,
) -> Response {
    // Nothing but an answer that says so is behind a method that the path does not have.
    let Some(needs) = roles::needs(request.method(), path.as_str()) else { return next.run(request).await };
    match app.key().let_in(needs, request.headers()) {
        Ok(known) => {
            let credential = known.as_ref().map(|known| &known.credential);
            if let Err(too_many) = in_pace(&app, &request, &path, credential) {
                let key = credential.and_then(Credential::key);
                return turn_away(&app, &request, &path, Some(too_many.what), key, too_many.into());
            }
            if let Some(known) = known {
                let pass = Pass::new(app.clone(), needs, app.key().shown(request.headers()));
                request.extensions_mut().insert(pass);
                request.extensions_mut().insert(known);
            }
            next.run(request).await
        }
        Err(refused) => match app.key().unknown(request.headers()) {
            unknown if unknown.is_empty() => {
                turn_away(&app, &request, &path, refused.reason(), refused.key(), refused.clone().into())
            }
            // Beside a key that is good for less, a wrong one is a guess as well.
            unknown => {
                let from = origin::address_of(request.extensions(), request.headers(), &app);
                guesses::wrong_key(&app, from, unknown, path.as_str()).into_response()
            }
        },
    }
}

/// Counts a call of a caller that may make it.
fn in_pace(
    app: &App,
    request: &Request,
    path: &MatchedPath,
    shown: Option<&Credential>,
) -> Result<(), TooMany> {
    match Pace::of(request.method(), path.as_str()) {
        Pace::Free => Ok(()),
        pace => {
            let from = origin::counted(request.extensions(), request.headers(), app);
            app.rates().call(pace, from, shown)
        }
    }
}

/// The answer to a caller that is not let in, which is counted if that is its own doing.
fn turn_away(
    app: &App,
    request: &Request,
    path: &MatchedPath,
    reason: Option<Reason>,
    key: Option<&KeyName>,
    problem: Problem,
) -> Response {
    if let Some(reason) = reason {
        let from = origin::address_of(request.extensions(), request.headers(), app);
        app.refusals().note(reason, from, path.as_str(), key);
    }
    problem.into_response()
}
