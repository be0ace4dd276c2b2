//! What is rebuilt is what shipping made.
