//! The worked examples, worked again from what the page shows and from nothing else, as a reader in
//! another language would.

use data_encoding::{BASE64, HEXLOWER};
use manifests::key::PublicKey;
use ring::digest::{SHA256, digest};
use serde_json::Value;

use super::blocks::named;
use super::protocol;

fn sha256(bytes: &[u8]) -> String {
    HEXLOWER.encode(digest(&SHA256, bytes).as_ref())
}

/// The rules of the page's section on canonical JSON, written a second time.
fn canonical(value: &Value) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Object(map) => {
            let mut names: Vec<_> = map.keys().collect();
            names.sort();
            let members = names.iter().map(|name| format!("{}:{}", quoted(name), canonical(&map[*name])));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn canonical_json_and_what_is_named_by_it_come_out_as_shown() {
    let page = protocol();
    let blocks = named(&page);
    let input = canonical(&json(&blocks["canonical-input"]));
    assert_eq!(HEXLOWER.encode(input.as_bytes()), blocks["canonical-hex"].replace('\n', ""));
    assert_eq!(canonical(&json(&blocks["key"])), blocks["key-canonical"]);
    assert_eq!(sha256(blocks["key-canonical"].as_bytes()), blocks["key-id"]);
    assert!(blocks["key-ids"].contains(&blocks["key-id"]));
    assert_eq!(canonical(&json(&blocks["evidence"])["state"]), blocks["state-canonical"]);
    let state = format!("sha256:{}", sha256(blocks["state-canonical"].as_bytes()));
    assert_eq!(state, blocks["state-digest"]);
    assert_eq!(json(&blocks["heartbeat"])["state"], state);
    assert_eq!(json(&blocks["permit"])["state"], state);
    let list = format!("sha256:{}", sha256(format!("{}\n", blocks["file-list"]).as_bytes()));
    assert_eq!(list, blocks["file-list-digest"]);
    let followed = format!("sha256:{}", sha256(format!("{}\n", blocks["file-list-followed"]).as_bytes()));
    assert_eq!(followed, blocks["file-list-followed-digest"]);
    assert_eq!(json(&blocks["evidence"])["state"]["programs"]["issuing-server"]["tree"]["digest"], list);
    let values = r#"[["queue.lock","exclusive"],["queue.size","64"]]"#;
    assert!(page.contains(values), "the page shows what is digested");
    assert_eq!(format!("sha256:{}", sha256(values.as_bytes())), blocks["config-values"]);
}

#[test]
fn the_pre_authentication_encoding_comes_out_as_shown() {
    let page = protocol();
    let blocks = named(&page);
    let envelope = json(&blocks["envelope"]);
    let payload = BASE64.decode(envelope["payload"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(payload, blocks["dsse-payload"].as_bytes());
    assert_eq!(json(&blocks["dsse-payload"]), json(&blocks["acknowledgement"]));
    let kind = envelope["payloadType"].as_str().unwrap();
    let pae = format!("DSSEv1 {} {kind} {} {}", kind.len(), payload.len(), blocks["dsse-payload"]);
    assert_eq!(pae, blocks["dsse-pae"]);
    assert_eq!(sha256(pae.as_bytes()), blocks["dsse-pae-digest"]);
    let signature = HEXLOWER.decode(blocks["dsse-signature"].replace('\n', "").as_bytes()).unwrap();
    assert_eq!(BASE64.encode(&signature), envelope["signatures"][0]["sig"]);
    assert_eq!(envelope["signatures"][0]["keyid"], blocks["key-id"]);
    let key = PublicKey::try_from(json(&blocks["key"])).unwrap();
    key.verify(pae.as_bytes(), &signature).unwrap();
}

#[test]
fn documents_name_one_another_as_shown() {
    let page = protocol();
    let blocks = named(&page);
    let stop = blocks["host-events"].lines().find_map(|line| line.strip_prefix("data: ")).map(json).unwrap();
    let payload = BASE64.decode(stop["payload"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(json(std::str::from_utf8(&payload).unwrap()), json(&blocks["stop"]));
    let digest = format!("sha256:{}", sha256(&payload));
    assert_eq!(json(&blocks["acknowledgement"])["stop"]["digest"], digest);
    assert_eq!(json(&blocks["permit"])["stops"][0]["digest"], digest);
    let lift = json(&blocks["lift"]);
    assert_eq!(lift["stop"], digest);
    assert_eq!(canonical(&lift), blocks["lift"]);
    let path = format!("lifts/{}/1.json", digest.strip_prefix("sha256:").unwrap());
    let listed = &json(&blocks["metadata-lifts"])["signed"]["targets"][&path];
    assert_eq!(listed["hashes"]["sha256"], sha256(blocks["lift"].as_bytes()));
    // The chain of metadata: what the timestamp lists is the snapshot as shown, and so on.
    let pairs = [
        ("metadata-timestamp", "snapshot.json", "metadata-snapshot"),
        ("metadata-snapshot", "targets.json", "metadata-targets"),
        ("metadata-snapshot", "lifts.json", "metadata-lifts"),
    ];
    for (lists, file, listed) in pairs {
        let bytes = format!("{}\n", blocks[listed]);
        let meta = &json(&blocks[lists])["signed"]["meta"][file];
        assert_eq!(meta["hashes"]["sha256"], sha256(bytes.as_bytes()), "{listed}");
        assert_eq!(meta["length"], bytes.len());
    }
}
