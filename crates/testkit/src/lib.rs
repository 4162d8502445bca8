//! What tests share: ports, processes, temporary folders, vectors.
