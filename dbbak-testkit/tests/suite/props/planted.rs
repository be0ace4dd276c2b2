//! Planted bugs: the oracle must notice each.
