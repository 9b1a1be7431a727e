//! Values in columns. What cannot be read as what it must be is damaged, never something near it.

use manifests::digest::Digest;
use manifests::time::Time;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;

pub(super) fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| damaged("none", error.to_string()))
}

pub(super) fn read<T: DeserializeOwned>(table: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| damaged(table, error.to_string()))
}

pub(super) fn integer(table: &'static str, value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| damaged(table, format!("{value} does not fit")))
}

pub(super) fn unsigned(table: &'static str, value: i64) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|_| damaged(table, format!("{value} is below zero")))
}

pub(super) fn digest(table: &'static str, bytes: &[u8]) -> Result<Digest, StoreError> {
    let bytes = <[u8; 32]>::try_from(bytes);
    bytes.map(Digest::from_bytes).map_err(|_| damaged(table, "a digest has 32 bytes"))
}

pub(super) fn id<T: std::str::FromStr>(table: &'static str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| damaged(table, format!("{text:?} is no id")))
}

pub(super) fn time(table: &'static str, value: i64) -> Result<Time, StoreError> {
    let time = Time::from_unix_ms(value);
    if time.unix_ms() == value { Ok(time) } else { Err(damaged(table, format!("{value} is no time"))) }
}

pub(super) fn damaged(table: &'static str, why: impl Into<String>) -> StoreError {
    StoreError::Damaged { table, why: why.into() }
}
