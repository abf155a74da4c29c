//! `cargo xtask bench`.

use crate::run::{cargo, step};

/// Runs every bench; each says what it measured, and fails when it misses its bar.
pub(crate) fn all() -> Result<(), String> {
    step("pipeline", cargo(&["bench", "--package", "simfuse-webhook", "--bench", "pipeline"]))?;
    step("thefts", cargo(&["bench", "--package", "simfuse", "--bench", "thefts"]))
}
