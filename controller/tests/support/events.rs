//! Streams of a controller, as its clients read them.

use futures_util::StreamExt;
use manifests::permit::{Permit, SealedPermit};
use reqwest::StatusCode;

use super::{World, soon};

/// Reads server-sent events.
pub struct Events {
    bytes: futures_util::stream::BoxStream<'static, Vec<u8>>,
    text: String,
}

impl Events {
    pub async fn open(world: &World, path: &str, token: &str, last: Option<u64>) -> Self {
        let mut request = world.client.get(format!("{}{path}", world.url)).bearer_auth(token);
        if let Some(last) = last {
            request = request.header("last-event-id", last.to_string());
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let bytes = answer.bytes_stream().map(|chunk| chunk.unwrap_or_default().to_vec()).boxed();
        Self { bytes, text: String::new() }
    }

    /// Whether the stream ends.
    pub async fn ends(&mut self) -> bool {
        while soon("the end of a stream", self.bytes.next()).await.is_some() {}
        true
    }

    /// Name and data of the next event.
    pub async fn next(&mut self) -> (String, String) {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let line = event.lines().find_map(|line| line.strip_prefix(name));
                    line.unwrap_or_default().trim_start_matches(": ").to_owned()
                };
                let found = (field("event"), field("data"));
                self.text = rest.to_owned();
                if !found.0.is_empty() {
                    return found;
                }
                continue;
            }
            let chunk = soon("an event", self.bytes.next()).await.expect("the stream goes on");
            self.text += &String::from_utf8(chunk).unwrap();
        }
    }

    /// The next event of that name.
    pub async fn named<T: serde::de::DeserializeOwned>(&mut self, name: &str) -> T {
        loop {
            let (event, data) = self.next().await;
            if event == name {
                return serde_json::from_str(&data).unwrap();
            }
        }
    }

    pub async fn permit(&mut self) -> Permit {
        self.named::<SealedPermit>("permit").await.claimed().unwrap()
    }
}
