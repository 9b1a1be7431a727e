//! Lists by pages, and answers that a client has already.

use axum::Json;
use axum::body::Bytes;
use axum::extract::Query;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use manifests::digest::Digest;
use serde::{Deserialize, Serialize};

use crate::error::HttpError;

/// Which part of a list is asked for.
#[derive(Debug, Default, Deserialize)]
pub struct Asked {
    limit: Option<usize>,
    after: Option<String>,
}

/// A part of a list: at most `limit` rows behind the one that `after` names.
#[derive(Debug)]
pub struct Page<T> {
    /// At least 1.
    pub limit: usize,
    /// None: from the first.
    pub after: Option<T>,
}

impl Asked {
    /// Whether a page is asked for at all.
    pub fn is_page(&self) -> bool {
        self.limit.is_some() || self.after.is_some()
    }

    /// The page, of at most `most` rows.
    ///
    /// # Errors
    /// 400 if `after` names no row.
    pub fn page<T>(self, most: usize, read: impl FnOnce(&str) -> Option<T>) -> Result<Page<T>, HttpError> {
        let after = match self.after {
            None => None,
            Some(text) => {
                let row = read(&text);
                Some(row.ok_or_else(|| HttpError::malformed("after names the last row of the page before"))?)
            }
        };
        Ok(Page { limit: self.limit.unwrap_or(most).clamp(1, most), after })
    }
}

/// The question's page, or why it is none.
///
/// # Errors
/// 400.
pub fn asked(query: Result<Query<Asked>, axum::extract::rejection::QueryRejection>) -> Result<Asked, HttpError> {
    query.map(|Query(asked)| asked).map_err(|error| HttpError::malformed(error.body_text()))
}

/// `value` with an `ETag` over `compared`, or 304 if the client names that.
pub fn answer(headers: &HeaderMap, value: &impl Serialize, compared: Option<&impl Serialize>) -> Response {
    let Ok(body) = serde_json::to_vec(value) else {
        // What is answered here has a JSON form; and without an ETag it is still an answer.
        return Json(value).into_response();
    };
    let compared = compared.and_then(|compared| serde_json::to_vec(compared).ok());
    let tag = Tag::of(compared.as_deref().unwrap_or(&body));
    if tag.is_named_in(headers) {
        return tag.not_modified();
    }
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    tag.on((kind, Bytes::from(body)).into_response())
}

/// What an `ETag` says.
#[derive(Debug)]
pub struct Tag(String);

impl Tag {
    /// The tag of an answer that is another one when these bytes are others.
    pub fn of(compared: &[u8]) -> Self {
        let hex = Digest::of(compared).hex();
        Self(format!("\"{}\"", hex.get(..32).unwrap_or(&hex)))
    }

    /// Whether whoever asks has the answer already.
    pub fn is_named_in(&self, headers: &HeaderMap) -> bool {
        let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        // Weak comparison, as RFC 9110, 13.1.2 asks for; a client of ours names one.
        known.flat_map(|value| value.split(',')).any(|one| {
            let one = one.trim();
            one == "*" || one.trim_start_matches("W/") == self.0
        })
    }

    /// 304.
    pub fn not_modified(&self) -> Response {
        self.on(StatusCode::NOT_MODIFIED.into_response())
    }

    /// The answer, with its tag.
    pub fn on(&self, mut response: Response) -> Response {
        if let Ok(tag) = HeaderValue::from_str(&self.0) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        // Kept by whoever asked, and asked for again each time.
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_limit_whatever_is_asked() {
        let page = |limit| Asked { limit, after: None }.page(50, |text| text.parse::<u64>().ok()).unwrap().limit;
        assert_eq!([None, Some(0), Some(7), Some(1000)].map(page), [50, 1, 7, 50]);
        let after = |text: &str| Asked { limit: None, after: Some(text.to_owned()) }.page(1, |t| t.parse::<u64>().ok());
        assert_eq!(after("7").unwrap().after, Some(7));
        assert!(after("x").is_err());
    }

    #[test]
    fn who_has_an_answer_is_not_sent_it_again() {
        let first = answer(&HeaderMap::new(), &[1, 2], None::<&()>);
        let tag = first.headers().get(header::ETAG).unwrap().clone();
        assert_eq!(first.status(), StatusCode::OK);
        let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, tag.clone())]);
        assert_eq!(answer(&headers, &[1, 2], None::<&()>).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(answer(&headers, &[1, 3], None::<&()>).status(), StatusCode::OK);
        let list = HeaderValue::from_str(&format!("\"x\", W/{}", tag.to_str().unwrap())).unwrap();
        let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, list)]);
        assert_eq!(answer(&headers, &[1, 2], None::<&()>).status(), StatusCode::NOT_MODIFIED);
        // What is compared may leave out when it was made.
        let made = answer(&headers, &[9, 9], Some(&[1, 2]));
        assert_eq!(made.status(), StatusCode::NOT_MODIFIED);
    }
}
