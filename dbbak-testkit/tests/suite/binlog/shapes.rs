//! Every shape of a transaction that servers of both vendors write, made by the test kit's writer.
