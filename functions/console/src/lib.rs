//! The console: the pages that links in alerts lead to.
//!
//! It faces the internet and cannot act by itself: it knows what a signed link says, remembers which
//! links were used, and asks the kill-switch for the one thing that the link allows. It has no
//! credentials of the provider and reads nothing of any SIM.

#[cfg(feature = "aws")]
pub mod adapters;
#[cfg(feature = "aws")]
pub mod config;
pub mod error;
pub mod handler;
mod page;
mod previews;
