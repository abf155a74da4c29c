//! Properties of a SIM's state, over random histories: it does not depend on the order of events,
//! it never claims more bytes than were used, and it stays small. And of the record of what was done.

#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    reason = "a test that panics or overflows is a test that fails"
)]

mod audit;
mod history;
mod limits;
mod order;
mod size;
mod truth;
