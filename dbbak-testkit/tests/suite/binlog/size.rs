//! Logs and events of any size are read in little memory.
