//! The `dbbak` program.

fn main() {}
