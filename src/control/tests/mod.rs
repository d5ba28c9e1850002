//! The server and its client over real sockets.
