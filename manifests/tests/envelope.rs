//! Envelopes: what is signed, and every way to be refused.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made is a test that fails")]

#[path = "common/keys.rs"]
mod keys;
#[path = "common/papers.rs"]
mod papers;

use data_encoding::{BASE64, HEXLOWER};
use keys::test_key;
use manifests::envelope::{Document, EnvelopeError, PAYLOAD_TYPES, Sealed, pre_authentication_encoding};
use manifests::evidence::{Evidence, Heartbeat};
use manifests::permit::Permit;
use manifests::stop::{Acknowledgement, Stop};
use manifests::value::INTEGER_MAX;
use serde_json::{Value, json};

fn permit() -> Permit {
    papers::permit(1, "A", "s", papers::start())
}

/// An envelope of `payload` as type `kind`, signed by test key 1 over what DSSE says.
fn envelope(kind: &str, payload: &[u8]) -> Value {
    let signature = test_key(1).sign(&pre_authentication_encoding(kind, payload));
    json!({
        "payloadType": kind,
        "payload": BASE64.encode(payload),
        "signatures": [{ "keyid": test_key(1).public().id(), "sig": BASE64.encode(&signature) }],
    })
}

fn open<T: Document>(envelope: &Value) -> Result<T, String> {
    let text = envelope.to_string();
    let sealed: Sealed<T> = serde_json::from_str(&text).map_err(|error| format!("read: {error}"))?;
    let verified = sealed.verify([test_key(1).public()]).map_err(|error| format!("{}: {error}", error.code()))?;
    Ok(verified.into_document())
}

fn open_payload<T: Document>(payload: &str) -> Result<T, String> {
    open(&envelope(T::PAYLOAD_TYPE, payload.as_bytes()))
}

fn json_of<T: Document>(document: &T) -> String {
    serde_json::to_string(document).unwrap()
}

const DSSE_POINT: &str = "0467cd390f77aa359cb08c2235f652270493a9ed832b0abcc01f70954c0390d2380c782bd54e269125a44f4433aff1432ce94e12bca73aa67ac80cea12608ddf74";
const DSSE_SIGNATURE: &str = "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA==";

#[test]
fn what_is_signed_is_what_dsse_says() {
    // The example of the DSSE protocol, version 1.0, with its key and signature (ECDSA P-256, r and s).
    let encoding = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
    assert_eq!(encoding, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    let point = HEXLOWER.decode(DSSE_POINT.as_bytes()).unwrap();
    let signature = BASE64.decode(DSSE_SIGNATURE.as_bytes()).unwrap();
    let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ECDSA_P256_SHA256_FIXED, point);
    assert!(key.verify(&encoding, &signature).is_ok());
    // Lengths are of bytes, not of characters, and nothing is escaped.
    assert_eq!(pre_authentication_encoding("é", "\n\"".as_bytes()), "DSSEv1 2 é 2 \n\"".as_bytes());
}

#[test]
fn a_document_comes_back_as_it_was_sealed() {
    let sealed = Sealed::seal(&permit(), &test_key(1)).unwrap();
    let text = serde_json::to_string(&sealed).unwrap();
    let again: Sealed<Permit> = serde_json::from_str(&text).unwrap();
    assert_eq!(again.claimed_keys().collect::<Vec<_>>(), [&test_key(1).public().id()]);
    let verified = again.verify([test_key(2).public(), test_key(1).public()]).unwrap();
    assert_eq!((&*verified, verified.signer()), (&permit(), &test_key(1).public().id()));
    assert_eq!(verified.digest(), sealed.digest());
    assert_eq!(open::<Permit>(&envelope(Permit::PAYLOAD_TYPE, json_of(&permit()).as_bytes())), Ok(permit()));
}

#[test]
fn every_document_has_a_type_of_its_own() {
    let distinct: std::collections::BTreeSet<_> = PAYLOAD_TYPES.iter().collect();
    assert_eq!(distinct.len(), PAYLOAD_TYPES.len());
}

#[test]
fn one_document_is_not_taken_for_another() {
    let permit = json_of(&permit());
    // Named as what is asked for, but signed as what it is.
    let mut other = envelope(Permit::PAYLOAD_TYPE, permit.as_bytes());
    other["payloadType"] = Heartbeat::PAYLOAD_TYPE.into();
    assert!(open::<Heartbeat>(&other).unwrap_err().starts_with("signature: "));
    assert!(open::<Permit>(&other).unwrap_err().contains("payload type"));
    // Signed as what is asked for, and something else.
    assert!(open_payload::<Stop>(&permit).unwrap_err().starts_with("malformed: "));
    // Length and payload cannot trade bytes: the type ends where it says.
    let shifted = envelope(&format!("{} 0", Permit::PAYLOAD_TYPE), permit.as_bytes());
    assert!(open::<Permit>(&shifted).is_err());
}

#[test]
fn a_signature_counts_only_as_it_was_made() {
    let good = envelope(Permit::PAYLOAD_TYPE, json_of(&permit()).as_bytes());
    let with_sig = |sig: &[u8]| {
        let mut envelope = good.clone();
        envelope["signatures"][0]["sig"] = BASE64.encode(sig).into();
        open::<Permit>(&envelope)
    };
    let sig = BASE64.decode(good["signatures"][0]["sig"].as_str().unwrap().as_bytes()).unwrap();
    assert!(with_sig(&sig).is_ok());
    for bit in [0, 100, 255, 256, 300, 511] {
        let mut flipped = sig.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(with_sig(&flipped).unwrap_err().starts_with("signature"), "bit {bit}");
    }
    // S + L is another spelling of S for a verifier that does not look.
    const L: [u8; 32] =
        *b"\xed\xd3\xf5\x5c\x1a\x63\x12\x58\xd6\x9c\xf7\xa2\xde\xf9\xde\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10";
    let mut sum = sig.clone();
    let mut carry = 0;
    for (byte, add) in sum[32..].iter_mut().zip(L) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = carry.to_le_bytes()[0];
        carry >>= 8;
    }
    for odd in [sum, sig[..63].to_vec(), [sig.clone(), vec![0]].concat(), vec![], vec![0; 64]] {
        assert!(with_sig(&odd).unwrap_err().starts_with("signature"), "{odd:?}");
    }
}

#[test]
fn a_key_counts_only_under_its_own_name_and_only_if_it_is_asked_for() {
    let mut renamed = envelope(Permit::PAYLOAD_TYPE, json_of(&permit()).as_bytes());
    renamed["signatures"][0]["keyid"] = test_key(2).public().id().as_str().into();
    assert!(open::<Permit>(&renamed).unwrap_err().starts_with("signature"));
    let sealed = Sealed::seal(&permit(), &test_key(2)).unwrap();
    assert_eq!(sealed.clone().verify([test_key(1).public()]).unwrap_err(), EnvelopeError::Signature);
    assert_eq!(sealed.verify([]).unwrap_err(), EnvelopeError::Signature);
    // A signature of somebody else beside the right one does no harm, nor does it help.
    let mut two = envelope(Permit::PAYLOAD_TYPE, json_of(&permit()).as_bytes());
    let stranger = json!({ "keyid": test_key(9).public().id(), "sig": BASE64.encode(&[1; 64]) });
    two["signatures"].as_array_mut().unwrap().insert(0, stranger.clone());
    assert!(open::<Permit>(&two).is_ok());
    two["signatures"] = json!([stranger]);
    assert!(open::<Permit>(&two).unwrap_err().starts_with("signature"));
}

#[test]
fn the_form_of_an_envelope_is_kept_strictly() {
    let good = envelope(Permit::PAYLOAD_TYPE, json_of(&permit()).as_bytes());
    let spoiled = |spoil: fn(&mut Value)| {
        let mut envelope = good.clone();
        spoil(&mut envelope);
        open::<Permit>(&envelope).unwrap_err()
    };
    let is_malformed = |error: String| assert!(error.starts_with("read: "), "{error}");
    is_malformed(spoiled(|e| e["signatures"] = json!([])));
    is_malformed(spoiled(|e| {
        let one = e["signatures"][0].clone();
        e["signatures"] = json!([one, one, one, one, one]);
    }));
    is_malformed(spoiled(|e| e["extra"] = json!(1)));
    is_malformed(spoiled(|e| e["signatures"][0]["extra"] = json!(1)));
    is_malformed(spoiled(|e| drop(e.as_object_mut().unwrap().remove("payload"))));
    is_malformed(spoiled(|e| e["payloadType"] = json!("application/json")));
    // Base64 has one spelling: padded, of its own alphabet, without white space or loose bits.
    for change in [
        |text: &str| text.trim_end_matches('=').to_owned() + if text.ends_with('=') { "" } else { "=" },
        |text: &str| format!("{text}\n"),
        |text: &str| format!(" {text}"),
        |text: &str| text.replacen('e', "-", 1),
    ] {
        for place in ["/payload", "/signatures/0/sig"] {
            let mut envelope = good.clone();
            let text = envelope.pointer(place).unwrap().as_str().unwrap().to_owned();
            let changed = change(&text);
            if changed == text {
                continue;
            }
            *envelope.pointer_mut(place).unwrap() = changed.into();
            is_malformed(open::<Permit>(&envelope).unwrap_err());
        }
    }
    // 64 bytes leave four loose bits in the last character.
    let sig = good["signatures"][0]["sig"].as_str().unwrap();
    let last = sig.as_bytes()[85];
    let mut envelope = good.clone();
    envelope["signatures"][0]["sig"] = format!("{}{}==", &sig[..85], char::from(last + 1)).into();
    is_malformed(open::<Permit>(&envelope).unwrap_err());
}

#[test]
fn a_member_of_an_envelope_given_twice_is_refused() {
    let good = envelope(Permit::PAYLOAD_TYPE, json_of(&permit()).as_bytes()).to_string();
    let twice = good.replacen('{', &format!("{{\"payloadType\":\"{}\",", Permit::PAYLOAD_TYPE), 1);
    assert!(serde_json::from_str::<Sealed<Permit>>(&good).is_ok());
    assert!(serde_json::from_str::<Sealed<Permit>>(&twice).is_err());
}

#[test]
fn a_payload_is_as_long_as_its_document_may_be_and_no_longer() {
    let padded = |length: usize| {
        let text = json_of(&acknowledgement());
        envelope(Acknowledgement::PAYLOAD_TYPE, format!("{text}{}", " ".repeat(length - text.len())).as_bytes())
    };
    for less in 0..3 {
        assert!(open::<Acknowledgement>(&padded(Acknowledgement::BYTES_MAX - less)).is_ok(), "{less}");
    }
    for more in 1..4 {
        let error = open::<Acknowledgement>(&padded(Acknowledgement::BYTES_MAX + more)).unwrap_err();
        assert!(error.contains("are accepted"), "{more}: {error}");
    }
    let long =
        Stop { reason: "x".repeat(Stop::BYTES_MAX), ..(*papers::stop(1, None, manifests::stop::Scope::All)).clone() };
    assert!(matches!(Sealed::seal(&long, &test_key(1)), Err(EnvelopeError::TooLarge { .. })));
}

fn acknowledgement() -> Acknowledgement {
    Acknowledgement {
        product: papers::product(),
        host: papers::host(papers::HOST),
        stop: manifests::stop::StopRef { number: 1, digest: papers::digest("stop") },
        time: papers::start().wall,
    }
}

#[test]
fn numbers_stay_below_2_to_the_53() {
    for field in ["number", "answers"] {
        let text = |number: &str| {
            let mut value = serde_json::to_value(permit()).unwrap();
            value[field] = json!("HERE");
            value.to_string().replace("\"HERE\"", number)
        };
        assert!(open_payload::<Permit>(&text(&INTEGER_MAX.to_string())).is_ok());
        for number in ["9007199254740992", "18446744073709551615", "1.0", "1e3", "-1", "\"1\"", "01"] {
            let error = open_payload::<Permit>(&text(number)).unwrap_err();
            assert!(error.starts_with("malformed"), "{field} = {number}: {error}");
        }
    }
    // And nobody seals what the other side would refuse.
    let beyond = Permit { number: INTEGER_MAX + 1, ..permit() };
    assert!(matches!(Sealed::seal(&beyond, &test_key(1)), Err(EnvelopeError::Payload { .. })));
}

#[test]
fn a_key_twice_in_any_object_is_refused() {
    let good =
        std::fs::read_to_string(format!("{}/tests/data/vectors/evidence/payload.json", env!("CARGO_MANIFEST_DIR")));
    let good = good.unwrap();
    assert!(open_payload::<Evidence>(&good).is_ok());
    // A program that is good for the reader of the last entry and bad for that of the first.
    let absent = r#""programs":{"issuing-server":{"tree":"absent","loaded":"not-running","findings":[]},"#;
    let twice = good.replacen(r#""programs":{"#, absent, 1);
    assert_ne!(twice, good);
    let error = open_payload::<Evidence>(&twice).unwrap_err();
    assert!(error.contains("stands twice"), "{error}");
    // Escapes do not hide it.
    let hidden = good.replacen(r#""programs":{"#, &absent.replace("issuing-server", r"\u0069ssuing-server"), 1);
    assert!(open_payload::<Evidence>(&hidden).unwrap_err().contains("stands twice"));
}

#[test]
fn members_that_the_format_does_not_have_are_refused_at_every_depth() {
    let good =
        std::fs::read(format!("{}/tests/data/vectors/evidence/payload.json", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let good: Value = serde_json::from_slice(&good).unwrap();
    let mut objects = 0;
    each_object(&good, &mut Vec::new(), &mut |path| {
        // Maps whose keys are names take any name; their values do not.
        let named = ["facts", "programs", "settings", "files", "packages", "configs"];
        if path.last().is_some_and(|last| named.contains(&last.as_str())) {
            return;
        }
        objects += 1;
        let mut changed = good.clone();
        let place = path.iter().fold(&mut changed, |value, key| match value {
            Value::Array(elements) => &mut elements[key.parse::<usize>().unwrap()],
            other => &mut other[key.as_str()],
        });
        place["remark"] = json!("anything");
        let error = open_payload::<Evidence>(&changed.to_string());
        assert!(error.is_err(), "a remark at {path:?} is accepted");
    });
    assert!(objects > 15, "{objects}");
}

fn each_object(value: &Value, path: &mut Vec<String>, told: &mut impl FnMut(&[String])) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => {
            told(path);
            members.iter().map(|(key, member)| (key.clone(), member)).collect()
        }
        Value::Array(elements) => elements.iter().enumerate().map(|(i, element)| (i.to_string(), element)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return,
    };
    for (key, child) in children {
        path.push(key);
        each_object(child, path, told);
        path.pop();
    }
}

#[test]
fn nesting_and_rubbish_are_refused_without_harm() {
    for payload in [
        "[".repeat(60_000),
        "{\"a\":".repeat(12_000),
        String::new(),
        "null".to_owned(),
        json_of(&permit()) + "x",
        json_of(&permit()) + "{}",
    ] {
        assert!(open_payload::<Permit>(&payload).unwrap_err().starts_with("malformed"));
    }
    assert!(serde_json::from_str::<Sealed<Permit>>(&"[".repeat(1_000_000)).is_err());
}
