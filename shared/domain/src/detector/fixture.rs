//! Builders for the detectors' tests.
