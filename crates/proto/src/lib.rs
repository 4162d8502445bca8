//! The wire and disk forms, generated, and their conversion to and from the model.
