//! Plans of every command, and why there is none: golden texts, errors, and the rules that every plan keeps.
