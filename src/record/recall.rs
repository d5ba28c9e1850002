//! A line of the log again, from its record: what the log's formats take.
