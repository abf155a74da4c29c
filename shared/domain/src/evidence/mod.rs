//! Usage evidence: how strongly a run of hours says that a SIM is no longer what it was.
//!
//! An hour's bytes are compared with what is usual ([`Usual`]), the deviation is ranked among those
//! that are on record ([`Ranks`]), the rank is turned into an e-value ([`log_e_value`]), and the
//! e-values of one hour after the other are multiplied ([`Wallet`]). Under "nothing has changed" such
//! a product exceeds a level of `1/α` at most once in `1/α` hours on average, however often one looks
//! (Shin, Ramdas, Rinaldo, "E-detectors", NEJSDS 2023), as far as the hours are exchangeable.
//!
//! A single series is ranked among its own past alone ([`Series`]). A SIM is ranked among its fleet's
//! past and among its peers now ([`Cohort`]), and keeps what follows: of its hours ([`Standing`]) and of
//! its days ([`Days`]).

mod ahead;
mod bins;
mod cohort;
mod days;
mod diurnal;
mod e_value;
mod ledger;
mod ranks;
mod series;
mod standing;
mod surge;
#[cfg(test)]
mod tests;
mod usual;
mod wallet;

pub use ahead::{Shown, ahead};
pub use bins::Bin;
pub use cohort::{COHORT_SCHEMA, Cohort, Sketch};
pub use days::Days;
pub use diurnal::Diurnal;
pub use e_value::log_e_value;
pub use ledger::{Active, LOG_EVIDENCE_MAX, Ledger};
pub use ranks::Ranks;
pub use series::{Judged, Series};
pub use standing::Standing;
pub use surge::Surge;
pub use usual::Usual;
pub(crate) use wallet::excess_of_hour;
pub use wallet::{Level, Wallet};
