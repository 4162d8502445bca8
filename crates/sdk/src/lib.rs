//! The client: calls, retries safely, gives a typed outcome.
