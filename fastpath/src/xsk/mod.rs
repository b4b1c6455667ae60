//! AF_XDP sockets behind types that cannot be used wrongly.
