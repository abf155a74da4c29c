//! The kill-switch's environment: read here and nowhere else.
