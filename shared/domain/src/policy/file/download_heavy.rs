//! The policy file's `[download_heavy]`.

use serde::Deserialize;

use crate::policy::watched::WatchAct;

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section, such as [download_heavy]")]
pub(super) struct DownloadHeavyLayer {
    pub(super) act: Option<WatchAct>,
}
