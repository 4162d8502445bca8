//! The gRPC codecs of `aegis.v1`: prost, with a strict check before a request is decoded.
//!
//! [`StrictCodec`] knows the shape of each message and says what is wrong with one; it is for calls of agents, where every
//! microsecond and every word counts. [`ExactCodec`] is for the admin API with its many messages.

use std::marker::PhantomData;

use aegis_model::reason::ReasonCode;
use bytes::Buf;
use prost::{Message, Name};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic::metadata::MetadataValue;
use tonic_prost::ProstEncoder;

use crate::status::{REASON_METADATA, refusal};
use crate::wire_shape::{self, Received};

/// Bytes of the buffers that a message is first encoded or read into: room for most calls and answers. A call keeps both while it
/// waits for its record, so that what is unused there pushes others out of the caches.
const BUFFER_BYTES: usize = 1_000;

/// Bytes of messages of a stream that are encoded before they are handed on, as tonic has it.
const HANDED_ON_BYTES: usize = 32 * 1_024;

fn buffers() -> BufferSettings {
    BufferSettings::new(BUFFER_BYTES, HANDED_ON_BYTES)
}

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
        ProstEncoder::new(buffers())
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
                .map_err(|_| Status::internal("the message is not a protobuf message of its type"));
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

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}

/// Encodes `T` and decodes `U`: a request (a message whose name ends in `Request`) exactly, an answer leniently.
///
/// A request that holds a field unknown here, or a singular field twice, is refused: what is skipped may be the
/// precondition or the restriction that its author relied on. An answer of newer software may say more than we know.
#[derive(Debug, Clone)]
pub struct ExactCodec<T, U> {
    messages: PhantomData<(T, U)>,
}

impl<T, U> Default for ExactCodec<T, U> {
    fn default() -> Self {
        Self { messages: PhantomData }
    }
}

impl<T: Message + 'static, U: Message + Name + Default + 'static> Codec for ExactCodec<T, U> {
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = ExactDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        ExactDecoder { message: PhantomData }
    }
}

/// Decodes `U`; see [`ExactCodec`].
#[derive(Debug, Clone)]
pub struct ExactDecoder<U> {
    message: PhantomData<U>,
}

impl<U: Message + Name + Default> Decoder for ExactDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let bytes = buffer.remaining();
        let malformed = |what: &str| malformed(&format!("`{}` {what}", U::NAME));
        // prost's own message may quote what it found.
        let message = U::decode(buffer).map_err(|_withheld| malformed("cannot be decoded"))?;
        // What was skipped is missing in the message encoded anew.
        if U::NAME.ends_with("Request") && message.encoded_len() != bytes {
            return Err(malformed("holds a field that is unknown here, or one twice"));
        }
        Ok(Some(message))
    }
}

/// A refusal with a code of the admin API, whose requests these are.
fn malformed(message: &str) -> Status {
    let mut status = Status::invalid_argument(message);
    status.metadata_mut().insert(REASON_METADATA, MetadataValue::from_static("malformed"));
    status
}
