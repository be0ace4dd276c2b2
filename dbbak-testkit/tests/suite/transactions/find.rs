//! What is found is what a search by hand finds.
