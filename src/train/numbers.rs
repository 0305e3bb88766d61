//! Numbers in JSON.

use serde::{Deserialize, Deserializer};

/// Reads a number. JSON has no infinity, which is written as `null`.
pub(super) fn number_or_infinity<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::INFINITY))
}
