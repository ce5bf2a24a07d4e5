//! Series of a registry without a cluster.

use super::*;
use crate::agent::book::{Book, ME, OTHER};
use crate::peers::{EngineSoft, EngineUsage, NodeReport, SoftState, StreamSample};

fn report(engine: EngineId, cpu: u64, streams: &[(&str, i64)]) -> NodeReport {
    let usage = EngineUsage {
        cpu_centi_percent: Some(cpu),
        memory_bytes: Some(1_000),
        rx_bps: None,
        tx_bps: Some(7),
        ..EngineUsage::default()
    };
    let engines = [(engine, EngineSoft { usage: Some(usage), ..EngineSoft::default() })].into();
    let sample = |down: i64| StreamSample {
        peers: Some(3),
        speed_down: Some(down),
        behind_live_s: Some(13),
        ..StreamSample::default()
    };
    let streams = streams.iter().map(|(id, down)| ((*id).to_owned(), sample(*down))).collect();
    NodeReport { engines, streams, ..NodeReport::default() }
}

fn shown(point: &[f32]) -> Vec<Option<f32>> {
    point.iter().map(|figure| figure.is_finite().then_some(*figure)).collect()
}

#[tokio::test]
async fn figures_are_sums_of_what_is_known() {
    let (mut book, soft) = (Book::new(), SoftState::default());
    let (own, other) = (book.listed(ME, 901), book.listed(OTHER, 902));
    for (id, port) in [("x", 901), ("y", 901), ("z", 902)] {
        book.begin(id, port);
    }
    soft.receive(ME, Some(Arc::new(report(own, 12_550, &[("x", 100)])))).await;
    soft.receive(OTHER, Some(Arc::new(report(other, 1_000, &[("z", 40)])))).await;
    let now = Instant::now();
    let of = |now| figures::of(&book.state, &soft.view(), ME, now);
    let all = of(now);
    let some = |figures: &[f32]| figures.iter().map(|figure| Some(*figure)).collect::<Vec<_>>();
    let mut cluster = some(&[2.0, 2.0, 2.0, 3.0, 140.0, 0.0, 135.5, 2_000.0, 0.0, 14.0]);
    // Nobody knows these.
    (cluster[5], cluster[8]) = (None, None);
    assert_eq!(shown(&all.cluster), cluster);
    assert_eq!(all.hosts[&ME][..5], [1.0, 1.0, 1.0, 2.0, 100.0], "of one stream there is no figure yet");
    assert_eq!(all.engines.keys().collect::<Vec<_>>(), [&own], "those of others are recorded by them");
    assert_eq!(shown(&all.engines[&own])[..4], [Some(2.0), Some(100.0), None, Some(125.5)]);
    let expected = [Some(3.0), Some(100.0), None, None, Some(13.0)];
    assert_eq!(
        all.streams.iter().map(|(id, point)| (id.as_str(), shown(point))).collect::<Vec<_>>(),
        [("x", expected.to_vec())]
    );
    // What a silent host said last does not count, and this one always knows itself.
    let later = of(now + Duration::from_secs(60));
    let silent = shown(&later.hosts[&OTHER]);
    assert_eq!((silent[3], silent[4], silent[6]), (Some(1.0), None, None));
    assert_eq!(later.cluster[4], 100.0);
    // Nothing runs: that is known, too.
    let empty = figures::of(&Book::new().state, &soft.view(), ME, now);
    assert_eq!((empty.cluster, empty.hosts[&OTHER]), ([0.0; 10], [0.0; 10]));
}

#[test]
fn ended_streams_keep_their_points_for_as_long_as_they_are_listed() {
    let mut book = Book::new();
    let own = book.listed(ME, 901);
    let series = Series::default();
    for id in ["x", "y"] {
        book.begin(id, 901);
    }
    let figures = |ids: &[&str]| Figures {
        engines: [(own, [1.0; 7])].into(),
        streams: ids.iter().map(|id| ((*id).to_owned(), [1.0; 5])).collect(),
        ..Figures::default()
    };
    series.record(100, figures(&["x", "y", "unlisted"]), &book.state);
    book.end("x");
    series.record(101, figures(&["y"]), &book.state);
    let points = |of: SeriesOf| series.part(&book.state, &of, 0).map(|part| part.points.len());
    let stream = |id: &str| points(SeriesOf::Stream(id.to_owned()));
    assert_eq!([stream("x"), stream("y"), stream("unlisted")], [Some(1), Some(2), None]);
    for id in ["acestream-901", &own.0.to_string(), &format!("{:064x}", 901)] {
        assert_eq!(points(SeriesOf::Engine(id.to_owned())), Some(2), "{id}");
    }
    assert_eq!(points(SeriesOf::Engine("nobody".to_owned())), None);
    assert_eq!(points(SeriesOf::Host("beta".to_owned())), Some(0), "nothing is recorded of it yet");
    assert_eq!(points(SeriesOf::Host("nowhere".to_owned())), None);
    let cluster = series.part(&book.state, &SeriesOf::Cluster, 505).unwrap();
    assert_eq!((cluster.recorded_since_s, cluster.first_s, cluster.points.len()), (Some(500), 505, 1));
}

#[tokio::test]
async fn an_ended_stream_keeps_its_engine_its_host_and_what_it_moved() {
    let (mut book, soft) = (Book::new(), SoftState::default());
    let other = book.listed(OTHER, 902);
    book.begin("x", 902);
    let moved = |downloaded, uploaded| {
        let sample = StreamSample { downloaded: Some(downloaded), uploaded, ..StreamSample::default() };
        NodeReport { streams: [("x".to_owned(), sample)].into(), ..NodeReport::default() }
    };
    let series = Series::default();
    let stream = |book: &Book| Arc::clone(book.state.stream("x").unwrap());
    for report in [moved(100, Some(7)), moved(300, None)] {
        soft.receive(OTHER, Some(Arc::new(report))).await;
        series.note_lasts(&book.state, &soft.view());
    }
    assert_eq!(series.lasts().of(&book.state, &stream(&book)), None, "it runs: its figures are newer");
    book.end("x");
    soft.receive(OTHER, Some(Arc::default())).await;
    let last = Last {
        engine: Some("acestream-902".to_owned()),
        node: Some("beta".to_owned()),
        downloaded: Some(300),
        uploaded: Some(7),
    };
    // Another node, which has just started, knows what the registry says.
    let young = Last { downloaded: None, uploaded: None, ..last.clone() };
    assert_eq!(Lasts::default().of(&book.state, &stream(&book)), Some(young));
    for gone in [false, true] {
        if gone {
            book.forgotten(other);
        }
        series.note_lasts(&book.state, &soft.view());
        assert_eq!(series.lasts().of(&book.state, &stream(&book)), Some(last.clone()), "gone: {gone}");
    }
}

#[test]
fn streams_stay_within_their_bytes_and_those_that_ended_first_go_first() {
    let mut kept = Kept::default();
    let full = Ring::<{ STREAM_FIELDS.len() }>::FULL;
    let fit = STREAM_BYTES_MAX / (full + ENTRY + 8);
    let fill = |kept: &mut Kept, id: String, to: u64| {
        let stream = kept.streams.entry(id).or_default();
        (to - 720..to).for_each(|step| stream.ring.push(step, [0.0; 5]));
        stream.last = to - 1;
    };
    fill(&mut kept, "old".to_owned(), 1_000);
    for n in 0..fit {
        fill(&mut kept, format!("{n:08}"), 2_000);
    }
    kept.bound_streams();
    assert!(kept.stream_bytes <= STREAM_BYTES_MAX);
    assert!(!kept.streams.contains_key("old"));
    assert_eq!((kept.streams.len(), kept.streams["00000000"].ring.len()), (fit, 720));
    let more = 2 * fit - 100;
    for n in fit..more {
        fill(&mut kept, format!("{n:08}"), 2_000);
    }
    kept.bound_streams();
    assert!(kept.stream_bytes <= STREAM_BYTES_MAX);
    assert_eq!((kept.streams.len(), kept.streams["00000000"].ring.len()), (more, 360), "all run on");
}
