//! The domain of SimFuse: what an event is, what is known of a SIM, which detectors look at it, how
//! policy rules, and what is done about a SIM that is judged rogue.
//!
//! Pure: no I/O, no clock, no async code, no randomness. The ports in [`port`] say what the
//! functions need from the world.

pub mod alert;
pub mod audit;
pub mod bytes;
pub mod chain;
pub mod detector;
pub mod device;
pub mod event;
pub mod evidence;
pub mod finding;
pub mod guard;
pub mod id;
pub mod incident;
pub mod money;
pub mod network;
pub mod news;
pub mod notice;
mod number;
pub mod place;
pub mod policy;
pub mod port;
pub mod reconcile;
pub mod session;
pub mod signed_link;
pub mod state;
pub mod time;
pub mod usage;
pub mod verdict;
