//! Fakes, shims, throw-away servers and the store conformance suite.
