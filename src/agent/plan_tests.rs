use acefleet_registry::cause::Cause;
use acefleet_registry::{Command, Reply};

use super::*;
use crate::agent::book::{Book, ME, OTHER};

impl Book {
    fn wanted(&self) -> Vec<Action> {
        wanted(&self.state, ME, &Busy::default())
    }

    fn drifted(&self, containers: &[Observed]) -> Vec<Action> {
        drifted(&self.state, &self.state, ME, containers, &Busy::default())
    }
}

fn generic() -> Kind {
    Kind::Generic { ports: BTreeMap::new() }
}

fn seen(id: &str, status: &str, engine: Option<EngineId>) -> Observed {
    let mut labels = BTreeMap::from([
        (spec::LABEL_HTTP.to_owned(), "19500".to_owned()),
        (spec::LABEL_HTTPS.to_owned(), "45500".to_owned()),
        (spec::LABEL_HOST_HTTP.to_owned(), "19500".to_owned()),
        (spec::LABEL_VARIANT.to_owned(), "krinkuto11-amd64".to_owned()),
        ("ondemand.app".to_owned(), "myservice".to_owned()),
        ("stream_id".to_owned(), "x".to_owned()),
    ]);
    if let Some(engine) = engine {
        labels.insert(spec::LABEL_ENGINE.to_owned(), engine.to_string());
    }
    Observed {
        id: id.to_owned(),
        name: "acestream-9".to_owned(),
        image: "i:t".to_owned(),
        status: status.to_owned(),
        labels,
        ports: BTreeMap::new(),
    }
}

fn bury(engine: EngineId, container: &str, listed: bool) -> Action {
    Action::Bury { engine, container: container.to_owned(), listed }
}

fn removes(actions: &[Action], container: &str) -> bool {
    matches!(actions, [Action::Remove { container: found, .. }] if found == container)
}

#[test]
fn records_alone_ask_for_starts_and_stops_of_own_engines() {
    let mut book = Book::new();
    let reserved = book.reserve(ME, Kind::Acestream);
    let draining = book.running("a");
    book.stop(draining);
    book.running("b");
    let failed = book.reserve(ME, Kind::Acestream);
    book.write(Command::EngineFailed { engine: failed, cause: Cause::DockerError, message: String::new() });
    book.reserve(OTHER, Kind::Acestream);
    assert_eq!(book.wanted(), [Action::Start(reserved), Action::Stop(draining)]);
    let busy = Busy { engines: BTreeSet::from([reserved]), ..Busy::default() };
    assert_eq!(wanted(&book.state, ME, &busy), [Action::Stop(draining)]);
}

#[test]
fn containers_that_match_their_records_need_nothing() {
    let mut book = Book::new();
    let id = book.running("a");
    for status in ["running", "paused", "restarting"] {
        assert_eq!(book.drifted(&[seen("a", status, Some(id))]), [], "{status}");
    }
}

#[test]
fn a_missing_or_dead_container_ends_its_engine() {
    let mut book = Book::new();
    let id = book.running("a");
    assert_eq!(book.drifted(&[]), [bury(id, "a", false)]);
    for status in ["exited", "dead", "created", "removing"] {
        assert_eq!(book.drifted(&[seen("a", status, Some(id))]), [bury(id, "a", true)], "{status}");
    }
    let busy = Busy { engines: BTreeSet::from([id]), ..Busy::default() };
    assert_eq!(drifted(&book.state, &book.state, ME, &[], &busy), []);
}

#[test]
fn a_list_from_before_the_start_ends_no_engine() {
    let mut book = Book::new();
    let id = book.reserve(ME, Kind::Acestream);
    let before = book.clone();
    book.started(id, "a");
    assert_eq!(drifted(&before.state, &book.state, ME, &[], &Busy::default()), []);
}

#[test]
fn containers_of_engines_that_ended_meanwhile_are_not_adopted() {
    let mut book = Book::new();
    let id = book.running("a");
    let before = book.clone();
    book.gone(id);
    let list = [seen("a", "running", Some(id))];
    assert_eq!(drifted(&before.state, &book.state, ME, &list, &Busy::default()), []);
}

#[test]
fn engines_of_other_nodes_are_not_judged() {
    let mut book = Book::new();
    let id = book.reserve(OTHER, Kind::Acestream);
    book.started(id, "a");
    assert_eq!(book.drifted(&[]), []);
    assert_eq!(book.drifted(&[seen("b", "running", Some(id))]), []);
}

#[test]
fn docker_restarts_generic_containers_by_itself() {
    let mut book = Book::new();
    let id = book.reserve(ME, generic());
    book.started(id, "a");
    assert_eq!(book.drifted(&[seen("a", "exited", Some(id))]), []);
    assert_eq!(book.drifted(&[]), [bury(id, "a", false)]);
}

#[test]
fn a_running_container_without_a_record_is_adopted() {
    let book = Book::new();
    let unknown = seen("z", "running", Some(EngineId(99)));
    let [Action::Adopt(found)] = &book.drifted(&[unknown])[..] else { panic!("not adopted") };
    assert_eq!(found.node, ME);
    assert_eq!(found.container_id, "z");
    assert_eq!(found.container_name, "acestream-9");
    assert_eq!(found.variant.as_deref(), Some("krinkuto11-amd64"));
    let ports = Ports { host_http: 19500, container_http: 19500, container_https: 45500, host_https: None };
    assert_eq!(found.ports, ports);
    assert_eq!(found.spec.kind, Kind::Acestream);
    assert_eq!(found.spec.name_prefix, "acestream");
    assert_eq!(found.spec.labels, BTreeMap::from([("stream_id".to_owned(), "x".to_owned())]));
    let no_label = seen("z", "running", None);
    assert!(matches!(&book.drifted(&[no_label])[..], [Action::Adopt(_)]));
}

#[test]
fn engines_of_a_node_that_was_removed_are_adopted_by_the_one_that_joins() {
    let mut book = Book::new();
    let id = book.reserve(OTHER, Kind::Acestream);
    book.started(id, "a");
    book.write(Command::NodeRemoved { node: OTHER });
    assert!(!book.state.engine(id).unwrap().phase.is_live());
    assert!(matches!(&book.drifted(&[seen("a", "running", Some(id))])[..], [Action::Adopt(_)]));
    assert!(removes(&book.drifted(&[seen("a", "exited", Some(id))]), "a"));
}

#[test]
fn an_adopted_container_is_known_by_its_id_not_by_its_old_label() {
    let mut book = Book::new();
    let old = book.running("a");
    book.gone(old);
    let found = seen("z", "running", Some(EngineId(99)));
    let Some(Action::Adopt(adopt)) = book.drifted(std::slice::from_ref(&found)).pop() else {
        panic!("not adopted")
    };
    let Reply::Engine(engine) = book.write(Command::Adopt(*adopt)) else { panic!("refused") };
    assert_eq!(book.drifted(std::slice::from_ref(&found)), []);
    assert_eq!(book.drifted(&[]), [bury(engine.id, "z", false)]);
}

#[test]
fn a_container_that_does_not_say_how_it_is_reached_is_left_alone() {
    let book = Book::new();
    let mut odd = seen("z", "running", None);
    odd.labels.insert(spec::LABEL_HOST_HTTP.to_owned(), "0".to_owned());
    assert_eq!(book.drifted(&[odd]), []);
}

#[test]
fn containers_that_no_record_needs_are_removed() {
    let mut book = Book::new();
    let ended = book.running("a");
    book.gone(ended);
    assert!(removes(&book.drifted(&[seen("a", "running", Some(ended))]), "a"), "its record has ended");
    assert!(removes(&book.drifted(&[seen("z", "exited", Some(EngineId(99)))]), "z"), "dead and unknown");
    let id = book.running("b");
    let twin = [seen("b", "running", Some(id)), seen("c", "running", Some(id))];
    assert!(removes(&book.drifted(&twin), "c"), "its engine runs in another container");
    let busy = Busy { containers: BTreeSet::from(["c".to_owned()]), ..Busy::default() };
    assert_eq!(drifted(&book.state, &book.state, ME, &twin, &busy), []);
}

#[test]
fn containers_of_reserved_and_draining_engines_wait_for_their_own_actions() {
    let mut book = Book::new();
    let reserved = book.reserve(ME, Kind::Acestream);
    let draining = book.reserve(ME, Kind::Acestream);
    book.stop(draining);
    let list = [seen("a", "running", Some(reserved)), seen("b", "exited", Some(draining))];
    assert_eq!(book.drifted(&list), []);
}

#[test]
fn a_container_is_unrecorded_until_a_live_record_names_it() {
    let mut book = Book::new();
    let id = book.running("a");
    assert!(!is_unrecorded(&book.state, &seen("a", "running", None)));
    assert!(!is_unrecorded(&book.state, &seen("b", "running", Some(id))));
    assert!(is_unrecorded(&book.state, &seen("b", "running", Some(EngineId(99)))));
    book.gone(id);
    assert!(is_unrecorded(&book.state, &seen("a", "running", Some(id))));
}

#[test]
fn an_adopted_engine_without_a_label_of_its_vpn_run_is_not_cut_off() {
    let mut book = Book::new();
    let mut old = seen("old", "running", None);
    old.labels.insert(spec::LABEL_VPN.to_owned(), "gluetun".to_owned());
    let adopt = adoption(&old, ME, book.state.policy()).unwrap();
    assert!(matches!(book.write(Command::Adopt(adopt)), Reply::Engine(_)));
    let network =
        Network { container_id: "vpn".to_owned(), instance: "vpn@2".to_owned(), addresses: Vec::new() };
    let networks = BTreeMap::from([("gluetun".to_owned(), Arc::new(network))]);
    let cut = |container: &Observed| {
        cut_off(&book.state, ME, std::slice::from_ref(container), &networks, &Busy::default())
    };
    assert_eq!(cut(&old), []);
    // One of ours says which run it joined.
    let mut ours = old.clone();
    ours.labels.insert(spec::LABEL_NODE.to_owned(), "alpha".to_owned());
    ours.labels.insert(spec::LABEL_VPN_RUN.to_owned(), "vpn@1".to_owned());
    assert!(matches!(cut(&ours)[..], [Action::CutOff(_)]));
}
