//! Where alerts go on this machine: a file that grows by one JSON line an alert, and memory.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use simfuse_domain::alert::Alert;
use simfuse_domain::port::{AlertError, Alerts};

/// Alerts remembered in memory; the file keeps all.
const REMEMBERED_MAX: usize = 1_000;

/// A mailbox; clones are handles to the same one.
#[derive(Clone)]
pub(crate) struct Mailbox {
    path: PathBuf,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    file: File,
    remembered: Vec<Alert>,
}

impl Mailbox {
    /// A new mailbox file in the folder for temporary files, readable by its owner only.
    pub(crate) fn new() -> std::io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        let file = builder.prefix("simfuse-mailbox-").suffix(".ndjson").tempfile()?;
        let (file, path) = file.keep().map_err(|error| error.error)?;
        let inner = Inner { file, remembered: Vec::new() };
        Ok(Self { path, inner: Arc::new(Mutex::new(inner)) })
    }

    /// Where the alerts are kept.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// The latest alerts, in the order of their arrival.
    pub(crate) fn alerts(&self) -> Vec<Alert> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).remembered.clone()
    }
}

impl Alerts for Mailbox {
    async fn publish(&self, alert: &Alert) -> Result<(), AlertError> {
        let failed = |error: std::io::Error| AlertError {
            alert_id: alert.id.clone(),
            is_refused: false,
            source: Box::new(error),
        };
        let mut line = serde_json::to_vec(alert).map_err(|error| failed(error.into()))?;
        line.push(b'\n');
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.file.write_all(&line).map_err(failed)?;
        if inner.remembered.len() >= REMEMBERED_MAX {
            inner.remembered.remove(0);
        }
        inner.remembered.push(alert.clone());
        Ok(())
    }
}
