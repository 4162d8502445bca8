//! The gRPC codec of `aegis.v1`: prost, with the strict check before a request is decoded.

use std::marker::PhantomData;

use aegis_model::reason::ReasonCode;
use bytes::Buf;
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic_prost::ProstEncoder;

use crate::status::refusal;
use crate::wire_shape::{self, Received};

/// Encodes `T` and decodes `U`. The generated client and server name it.
#[derive(Debug, Clone)]
pub struct StrictCodec<T, U> {
    messages: PhantomData<(T, U)>,
}

impl<T, U> Default for StrictCodec<T, U> {
    fn default() -> Self {
        Self { messages: PhantomData }
    }
}

impl<T: Message + 'static, U: Received> Codec for StrictCodec<T, U> {
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = StrictDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        StrictDecoder { message: PhantomData }
    }
}

/// Decodes `U`, strictly where its [`Received::SHAPE`] says so.
#[derive(Debug, Clone)]
pub struct StrictDecoder<U> {
    message: PhantomData<U>,
}

impl<U: Received> Decoder for StrictDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let Some(shape) = U::SHAPE else {
            return U::decode(buffer)
                .map(Some)
                .map_err(|_| Status::internal("the answer is not a protobuf message"));
        };
        let malformed = |message: String| refusal(ReasonCode::InvalidRequest, &message);
        // tonic hands over a message in one piece. Were it ever in several, the check would see only the
        // first, so that is refused rather than assumed.
        if buffer.chunk().len() != buffer.remaining() {
            return Err(Status::internal("the message is not in one piece"));
        }
        wire_shape::check(buffer.chunk(), shape).map_err(|bad| malformed(bad.to_string()))?;
        // prost's own message may quote what it found.
        U::decode(buffer)
            .map(Some)
            .map_err(|_| malformed(format!("`{}` holds a text that is not UTF-8", shape.message)))
    }
}
