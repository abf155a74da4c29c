//! The command line as its users see it: the real binary, its output and its exit codes.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that goes wrong should stop at once and say where"
)]

mod apply;
mod audit;
mod backtest;
mod drill;
mod links;
mod many;
mod policy;
mod replay;
mod score;
mod simulate;
mod stack;
mod stored;
mod tool;
mod trap;
mod up;
