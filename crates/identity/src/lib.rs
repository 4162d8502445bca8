//! Turns a token or certificate into a principal; mints tokens; builds TLS settings.
