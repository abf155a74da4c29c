//! The usage aggregator: reads usage records every hour, keeps them by SIM, hour and day, and finds
//! what events did not show.

pub mod config;
