//! The dbbak command-line tool as a library, so that embedders can reuse its executor.
