//! The time from the receipt of the deciding event to the request at the provider, over 200 thefts:
//! webhook, table, its stream, kill-switch, all on this machine over loopback.
#![expect(clippy::print_stdout, reason = "a bench says what it measured")]

use std::error::Error;
use std::time::Duration;

/// Thefts measured.
const THEFTS: usize = 200;

/// The slowest but two may take this long.
const P99_MAX: Duration = Duration::from_millis(250);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    simfuse::install_tls()?;
    let mut times = Box::pin(simfuse::drill::time_thefts(THEFTS)).await?;
    times.sort_unstable();
    let at = |percent: usize| times.get(THEFTS * percent / 100).copied().unwrap_or(Duration::MAX);
    let (median, p99) = (at(50), at(99));
    println!("event to request over {THEFTS} thefts: median {median:.1?}, p99 {p99:.1?}");
    if p99 > P99_MAX {
        return Err(format!("p99 is over {P99_MAX:?}").into());
    }
    Ok(())
}
