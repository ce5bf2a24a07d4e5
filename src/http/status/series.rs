//! `GET /series`: figures of the last hour.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::http::answer::problem::{BlockedBody, DetailBody, InvalidBody, Problem};
use crate::http::answer::snapshot::Snapshot;
use crate::http::answer::time;
use crate::http::app::App;
use crate::http::request::query::Query;
use crate::peers::series::STEP_S;
use crate::peers::{SeriesOf, SeriesPart};

/// Figures of one thing over the last hour.
#[derive(Serialize, ToSchema)]
struct SeriesBody {
    #[schema(example = "cluster")]
    of: String,
    /// Seconds from one point to the next.
    #[schema(example = 5)]
    step_s: u64,
    /// Since when the node that answered records; there are no points before. Null until it begins.
    #[schema(format = DateTime)]
    recorded_since: Option<String>,
    /// What stands behind the time in each point.
    #[schema(example = json!(["engines", "in_use", "healthy", "streams", "speed_down"]))]
    fields: Vec<&'static str>,
    /// Units of those that have one.
    #[schema(example = json!({"speed_down": "KB/s"}))]
    units: BTreeMap<&'static str, &'static str>,
    /// Seconds since 1970 and the figures, oldest first; null where nothing was known.
    #[schema(value_type = Vec<Vec<f64>>)]
    points: Vec<Vec<Value>>,
}

fn wanted(query: &Query) -> Result<SeriesOf, Problem> {
    let text = query.get("of").unwrap_or("cluster");
    let named = text.split_once(':').filter(|(_, name)| !name.is_empty());
    match (text, named) {
        ("cluster", _) => Ok(SeriesOf::Cluster),
        (_, Some(("host", name))) => Ok(SeriesOf::Host(name.to_owned())),
        (_, Some(("engine", id))) => Ok(SeriesOf::Engine(id.to_owned())),
        (_, Some(("stream", id))) => Ok(SeriesOf::Stream(id.to_owned())),
        _ => {
            let msg = "Input should be cluster, host:<name>, engine:<id> or stream:<id>";
            Err(query.wrong("of", "string_pattern_mismatch", msg, None))
        }
    }
}

/// A whole number where it is one, else two decimals.
fn number(figure: Option<f32>) -> Value {
    match figure {
        None => Value::Null,
        Some(figure) if figure.fract() == 0.0 => json!(figure as i64),
        Some(figure) => json!((f64::from(figure) * 100.0).round() / 100.0),
    }
}

fn points(part: &SeriesPart) -> Vec<Vec<Value>> {
    let times = (0..).map(|nth: u64| part.first_s + nth * STEP_S);
    let point = |(at, figures): (u64, &Vec<Option<f32>>)| {
        std::iter::once(json!(at)).chain(figures.iter().map(|figure| number(*figure))).collect()
    };
    times.zip(&part.points).map(point).collect()
}

/// Figures of the last hour
///
/// A point every 5 s, of the cluster, a host, an engine or a stream. Every node records the cluster and all hosts for as long as it runs;
/// engines and streams are asked from their host. Ended streams have their points for as long as they are listed.
#[utoipa::path(
    get, path = "/series", tag = "status", operation_id = "series",
    params(
        ("of" = Option<String>, Query, description = "`cluster` (default), `host:<name>`, `engine:<id, prefix or name>`, `stream:<id>`"),
        ("since" = Option<String>, Query, format = DateTime, description = "Inclusive; also seconds since 1970"),
        crate::http::docs::openapi::Freshness,
    ),
    responses(
        (status = 200, description = "Figures", body = SeriesBody),
        (status = 404, description = "No such thing, or nothing is recorded of it", body = DetailBody),
        (status = 422, description = "A parameter is wrong", body = InvalidBody),
        (status = 503, description = "The host that records it does not answer", body = BlockedBody),
    )
)]
pub(crate) async fn get(State(app): State<App>, snapshot: Snapshot) -> Result<Response, Problem> {
    let of = wanted(&snapshot.query)?;
    let since = snapshot.query.time("since")?;
    let since_s = since.map_or(0, |since| since.0.div_ceil(1_000));
    let fields = of.fields();
    let part = app.fleet().series_of(of, since_s).await?;
    Ok(snapshot.answer(&SeriesBody {
        of: snapshot.query.get("of").unwrap_or("cluster").to_owned(),
        step_s: STEP_S,
        recorded_since: part.recorded_since_s.map(|at| time::zulu(acefleet_registry::WallMs(at * 1_000))),
        fields: fields.iter().map(|(name, _)| *name).collect(),
        units: fields.iter().filter(|(_, unit)| !unit.is_empty()).copied().collect(),
        points: points(&part),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_numbers_with_their_times() {
        let some = |figures: [Option<f32>; 3]| figures.to_vec();
        let points = points(&SeriesPart {
            recorded_since_s: None,
            first_s: 500,
            points: vec![some([Some(3.0), None, Some(12.345)]), some([Some(1.5e9), Some(0.0), Some(-1.0)])],
        });
        assert_eq!(json!(points), json!([[500, 3, null, 12.35], [505, 1_500_000_000, 0, -1]]));
    }

    #[test]
    fn what_is_asked_for_is_named() {
        let read = |query: &str| wanted(&Query::parse(Some(query))).ok();
        assert_eq!(read(""), Some(SeriesOf::Cluster));
        assert_eq!(read("of=host:a"), Some(SeriesOf::Host("a".to_owned())));
        assert_eq!(read("of=stream:k%7Cs:1"), Some(SeriesOf::Stream("k|s:1".to_owned())));
        assert_eq!(read("of=engine:7"), Some(SeriesOf::Engine("7".to_owned())));
        for wrong in ["of=", "of=host", "of=host:", "of=vpn:x", "of=cluster:"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
