//! Compresses longer answers for clients that accept gzip.

use std::io::Write;

use axum::body::{Body, HttpBody};
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::BodyExt;

/// Shorter answers fit into a few packets uncompressed.
pub(crate) const PACKED_FROM: usize = 8 << 10;
/// Longer answers are compressed outside the threads of the runtime, which carry the cluster's messages.
const LONG: usize = 128 << 10;

pub(crate) const GZIP: HeaderValue = HeaderValue::from_static("gzip");
pub(crate) const BY_ENCODING: HeaderValue = HeaderValue::from_static("accept-encoding");

/// Whether the client accepts gzip.
pub(crate) fn is_accepted(headers: &HeaderMap) -> bool {
    let listed = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    listed.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        named && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

/// Compresses bytes, fast rather than small.
pub(crate) fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    // Writing to a vector cannot fail.
    let written = packer.write_all(bytes).and_then(|()| packer.finish());
    written.unwrap_or_default()
}

/// Compresses an answer, unless it is short, compressed already, or no text.
pub(crate) async fn pack_answer(response: Response<Body>) -> Response<Body> {
    let length = response.body().size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let Some(length) = length.filter(|length| *length >= PACKED_FROM) else { return response };
    let kind = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let is_text = kind.starts_with(b"application/json") || kind.starts_with(b"text/");
    if !is_text || response.headers().contains_key(CONTENT_ENCODING) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // The body is in memory, so this cannot fail.
    let Ok(body) = body.collect().await else { return Response::from_parts(parts, Body::empty()) };
    let bytes = body.to_bytes();
    let packed = match length > LONG {
        false => Some(pack(&bytes)),
        true => {
            let bytes = bytes.clone();
            tokio::task::spawn_blocking(move || pack(&bytes)).await.ok()
        }
    };
    parts.headers.insert(VARY, BY_ENCODING);
    let Some(packed) = packed else { return Response::from_parts(parts, bytes.into()) };
    parts.headers.insert(CONTENT_ENCODING, GZIP);
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, packed.into())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use axum::response::IntoResponse;
    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn only_clients_that_accept_gzip_get_it() {
        for (value, accepted) in [
            ("gzip, deflate, br", true),
            ("br;q=1.0, GZIP;q=0.8", true),
            ("identity", false),
            ("gzip;q=0", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]);
            assert_eq!(is_accepted(&headers), accepted, "{value}");
        }
        assert!(!is_accepted(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn a_compressed_answer_has_the_same_content() {
        for length in [PACKED_FROM - 1, PACKED_FROM, LONG + 1] {
            let text = "engine ".repeat(length / 7 + 1)[..length].to_owned();
            let packed = pack_answer(text.clone().into_response()).await;
            let is_packed = packed.headers().get(CONTENT_ENCODING) == Some(&GZIP);
            assert_eq!(is_packed, length >= PACKED_FROM, "{length}");
            assert!(!is_packed || !packed.headers().contains_key(CONTENT_LENGTH));
            let bytes = packed.into_body().collect().await.unwrap().to_bytes();
            let mut read = String::new();
            if is_packed {
                assert!(bytes.len() < length / 4);
                GzDecoder::new(&bytes[..]).read_to_string(&mut read).unwrap();
            } else {
                read = String::from_utf8(bytes.to_vec()).unwrap();
            }
            assert!(read == text, "{length}");
        }
    }
}
