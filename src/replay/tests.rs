//! Planning, numbering and comparing, without an etcd.
