//! A stream that says of itself that it cannot write several pieces at once, so that HTTP/2 joins small frames before.
//!
//! `h2` hands a payload of more than 256 bytes to a stream that can write several pieces beside the frames before it, and has
//! to write both before it takes the next frame. The answer to a gRPC call is a head, a payload of some 300 bytes and
//! trailers: two system calls, two segments, two wakes of the client. Where pieces are not possible, payloads of up to
//! 1,024 bytes are copied into one buffer with the frames around them, and the answer is one of each.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream whose writes are of one piece.
#[derive(Debug)]
pub(super) struct Joined<S>(pub(super) S);

impl<S: AsyncRead + Unpin> AsyncRead for Joined<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Joined<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;
    use http_body_util::{BodyExt, Empty, Full};
    use hyper::header::{HeaderName, HeaderValue};
    use hyper::{HeaderMap, Request, Response};
    use hyper_util::rt::{TokioExecutor, TokioIo};

    use tokio::task::JoinSet;

    use super::super::connection::{Connections, serve};
    use super::super::{Life, Patience, Protocol};
    use super::*;

    /// Counts writes.
    struct Counted<S>(S, Arc<AtomicUsize>);

    impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(cx, buffer)
        }
    }

    impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.1.fetch_add(1, Ordering::Relaxed);
            Pin::new(&mut self.0).poll_write(cx, bytes)
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            pieces: &[io::IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.1.fetch_add(1, Ordering::Relaxed);
            Pin::new(&mut self.0).poll_write_vectored(cx, pieces)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }

        /// As a TCP stream says.
        fn is_write_vectored(&self) -> bool {
            true
        }
    }

    /// So many bytes and trailers, as the answer to a gRPC call has them.
    async fn writes_of_an_answer(bytes: usize) -> usize {
        let (client, server) = tokio::io::duplex(1 << 16);
        let writes = Arc::new(AtomicUsize::new(0));
        let connections = Connections::new(Protocol::Http2, Patience::default(), &Life::default());
        let answer = move |_request| async move {
            let trailers = HeaderMap::from_iter([(
                HeaderName::from_static("grpc-status"),
                HeaderValue::from_static("0"),
            )]);
            Response::new(
                Full::new(Bytes::from(vec![7; bytes]))
                    .with_trailers(async { Some(Ok(trailers)) })
                    .boxed_unsync(),
            )
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(connections, Counted(server, Arc::clone(&writes)), answer));
        let shaken = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client));
        let (mut sender, connection) = shaken.await.unwrap();
        tasks.spawn(async { connection.await.unwrap() });
        let mut counted = 0;
        // The first call's writes hold the settings of the connection, too.
        for _ in 0..2 {
            let before = writes.load(Ordering::Relaxed);
            let request = Request::get("http://node/").body(Empty::<Bytes>::new()).unwrap();
            let body = sender.send_request(request).await.unwrap().into_body().collect().await.unwrap();
            assert!(body.trailers().is_some());
            assert_eq!(body.to_bytes().len(), bytes);
            counted = writes.load(Ordering::Relaxed) - before;
        }
        counted
    }

    #[tokio::test]
    async fn an_answer_of_usual_size_is_one_write() {
        for bytes in [1, 255, 300, 1_000] {
            assert_eq!(writes_of_an_answer(bytes).await, 1, "{bytes}");
        }
        assert!(writes_of_an_answer(2_000).await > 1, "a large one is not copied");
    }
}
