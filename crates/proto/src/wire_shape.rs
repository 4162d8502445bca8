//! Strict protobuf: what a message may hold, and the check that it holds nothing else.
//!
//! prost skips a field that it does not know and keeps the last of a repeated singular field. Both are what
//! a duplicate key is in JSON: two readers of the same bytes may see different calls. So requests are
//! checked before they are decoded.

use prost::encoding::{WireType, decode_key, decode_varint};

use crate::v1;

/// What one message may hold on the wire: singular fields, each at most once.
#[derive(Debug)]
pub struct Shape {
    /// The message, as its proto file calls it.
    pub message: &'static str,
    /// Its fields, in any order; numbers are below 64.
    pub fields: &'static [Field],
}

/// One field of a [`Shape`].
#[derive(Debug)]
pub struct Field {
    /// Its number.
    pub tag: u32,
    /// How its value is encoded.
    pub kind: Kind,
}

/// How a field's value is encoded.
#[derive(Debug)]
pub enum Kind {
    /// A number or a truth value.
    Varint,
    /// A text or bytes.
    Bytes,
    /// Another message.
    Message(&'static Shape),
}

/// Why bytes do not have a shape. Says where, never what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadShape {
    /// A field that this version does not know.
    #[error("`{message}` has no field {tag}")]
    UnknownField {
        /// The message.
        message: &'static str,
        /// The field's number.
        tag: u32,
    },
    /// A singular field stands more than once.
    #[error("field {tag} of `{message}` stands more than once")]
    RepeatedField {
        /// The message.
        message: &'static str,
        /// The field's number.
        tag: u32,
    },
    /// A field is encoded as another type.
    #[error("field {tag} of `{message}` is encoded as another type")]
    WireType {
        /// The message.
        message: &'static str,
        /// The field's number.
        tag: u32,
    },
    /// The bytes end early or are no protobuf.
    #[error("`{message}` is not a protobuf message")]
    Malformed {
        /// The message.
        message: &'static str,
    },
}

/// A message that may arrive, and how strictly it is read.
pub trait Received: prost::Message + Default + 'static {
    /// What the message may hold; `None` for answers and between nodes, since a newer node may extend them.
    const SHAPE: Option<&'static Shape>;
}

impl Received for v1::DecideRequest {
    const SHAPE: Option<&'static Shape> = Some(&DECIDE_REQUEST);
}

impl Received for v1::DecideStreamRequest {
    const SHAPE: Option<&'static Shape> = Some(&DECIDE_STREAM_REQUEST);
}

impl Received for v1::CompleteRequest {
    const SHAPE: Option<&'static Shape> = Some(&COMPLETE_REQUEST);
}

impl Received for v1::GetApprovalRequest {
    const SHAPE: Option<&'static Shape> = Some(&GET_APPROVAL_REQUEST);
}

impl Received for v1::GetApprovalResponse {
    const SHAPE: Option<&'static Shape> = None;
}

impl Received for v1::CompleteResponse {
    const SHAPE: Option<&'static Shape> = None;
}

impl Received for v1::DecideResponse {
    const SHAPE: Option<&'static Shape> = None;
}

impl Received for v1::DecideStreamResponse {
    const SHAPE: Option<&'static Shape> = None;
}

/// Between nodes of neighbouring versions a field that one of them does not know is skipped.
macro_rules! read_leniently {
    ($($message:ident)*) => {$(
        impl Received for v1::$message {
            const SHAPE: Option<&'static Shape> = None;
        }
    )*};
}
read_leniently!(
    RaftAppendEntriesRequest RaftAppendEntriesResponse RaftVoteRequest RaftVoteResponse
    RaftInstallSnapshotRequest RaftInstallSnapshotResponse RaftProposeRequest RaftProposeResponse
    RaftReadIndexRequest RaftReadIndexResponse RaftStatusRequest RaftStatusResponse
    RaftStandingsRequest RaftStandingsResponse RaftObjectStoreRequest RaftObjectStoreResponse
    RaftChangeMembersRequest RaftChangeMembersResponse
    FollowRequest FollowResponse GetBundleRequest GetBundleResponse
    LendRequest LendResponse
    OpenJournalRequest OpenJournalResponse ReportCheckpointRequest ReportCheckpointResponse
    AttendRequest AttendResponse
    ApprovalOpening ApprovalWatch ApprovalStanding ApprovalRedemption ApprovalRedeeming
    ApprovalReturn ApprovalReturned
    IssueTokenRequest IssueTokenResponse
);

/// `aegis.v1.DecideRequest`.
pub const DECIDE_REQUEST: Shape = Shape {
    message: "DecideRequest",
    fields: &[
        Field { tag: 1, kind: Kind::Bytes },
        Field { tag: 2, kind: Kind::Bytes },
        Field { tag: 3, kind: Kind::Bytes },
        Field { tag: 4, kind: Kind::Bytes },
        Field { tag: 5, kind: Kind::Bytes },
        Field { tag: 6, kind: Kind::Bytes },
        Field { tag: 7, kind: Kind::Bytes },
        Field { tag: 8, kind: Kind::Varint },
        Field { tag: 9, kind: Kind::Varint },
        Field { tag: 10, kind: Kind::Varint },
        Field { tag: 11, kind: Kind::Varint },
    ],
};

/// `aegis.v1.GetApprovalRequest`.
pub const GET_APPROVAL_REQUEST: Shape = Shape {
    message: "GetApprovalRequest",
    fields: &[Field { tag: 1, kind: Kind::Bytes }, Field { tag: 2, kind: Kind::Varint }],
};

/// `aegis.v1.DecideStreamRequest`.
pub const DECIDE_STREAM_REQUEST: Shape = Shape {
    message: "DecideStreamRequest",
    fields: &[
        Field { tag: 1, kind: Kind::Varint },
        Field { tag: 2, kind: Kind::Bytes },
        Field { tag: 3, kind: Kind::Message(&DECIDE_REQUEST) },
        Field { tag: 4, kind: Kind::Bytes },
        Field { tag: 5, kind: Kind::Bytes },
    ],
};

/// `aegis.v1.CompleteRequest`.
pub const COMPLETE_REQUEST: Shape = Shape {
    message: "CompleteRequest",
    fields: &[
        Field { tag: 1, kind: Kind::Bytes },
        Field { tag: 2, kind: Kind::Varint },
        Field { tag: 3, kind: Kind::Bytes },
        Field { tag: 4, kind: Kind::Bytes },
        Field { tag: 5, kind: Kind::Varint },
    ],
};

/// Checks that `bytes` hold nothing but what `shape` lists. One pass, no allocation; recursion is as deep
/// as the shape.
pub fn check(mut bytes: &[u8], shape: &'static Shape) -> Result<(), BadShape> {
    let message = shape.message;
    let malformed = || BadShape::Malformed { message };
    let mut seen = 0_u64;
    while !bytes.is_empty() {
        let (tag, wire_type) = decode_key(&mut bytes).map_err(|_| malformed())?;
        let field = shape
            .fields
            .iter()
            .find(|field| field.tag == tag)
            .ok_or(BadShape::UnknownField { message, tag })?;
        if seen & (1 << tag) != 0 {
            return Err(BadShape::RepeatedField { message, tag });
        }
        seen |= 1 << tag;
        let expected = match field.kind {
            Kind::Varint => WireType::Varint,
            Kind::Bytes | Kind::Message(_) => WireType::LengthDelimited,
        };
        if wire_type != expected {
            return Err(BadShape::WireType { message, tag });
        }
        let value = decode_varint(&mut bytes).map_err(|_| malformed())?;
        if matches!(field.kind, Kind::Varint) {
            continue;
        }
        let length = usize::try_from(value).map_err(|_| malformed())?;
        let (content, rest) = bytes.split_at_checked(length).ok_or_else(malformed)?;
        bytes = rest;
        if let Kind::Message(inner) = field.kind {
            check(content, inner)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::field_descriptor_proto::{Label, Type};

    use super::*;

    fn call() -> v1::DecideRequest {
        v1::DecideRequest {
            request_id: "r-1".to_owned(),
            tool: "stripe".to_owned(),
            params: "{}".into(),
            dry_run: true,
            explain: true,
            ..Default::default()
        }
    }

    #[test]
    fn shapes_list_exactly_the_fields_of_the_proto_file() {
        let set = prost_types::FileDescriptorSet::decode(crate::DESCRIPTOR).expect("a descriptor");
        for shape in [&DECIDE_REQUEST, &DECIDE_STREAM_REQUEST, &GET_APPROVAL_REQUEST, &COMPLETE_REQUEST] {
            let message = set.file[0]
                .message_type
                .iter()
                .find(|message| message.name() == shape.message)
                .expect("the message is in the proto file");
            let listed: Vec<_> = shape
                .fields
                .iter()
                .map(|field| match field.kind {
                    Kind::Varint => (field.tag, "varint".to_owned()),
                    Kind::Bytes => (field.tag, "bytes".to_owned()),
                    Kind::Message(inner) => (field.tag, format!(".aegis.v1.{}", inner.message)),
                })
                .collect();
            let described: Vec<_> = message
                .field
                .iter()
                .map(|field| {
                    assert_ne!(field.label(), Label::Repeated, "the check knows singular fields only");
                    let kind = match field.r#type() {
                        Type::String | Type::Bytes => "bytes".to_owned(),
                        Type::Message => field.type_name().to_owned(),
                        _ => "varint".to_owned(),
                    };
                    (u32::try_from(field.number()).expect("a number"), kind)
                })
                .collect();
            assert_eq!(listed, described, "{}", shape.message);
        }
    }

    #[test]
    fn a_usual_message_passes_and_so_does_an_empty_one() {
        assert_eq!(check(&call().encode_to_vec(), &DECIDE_REQUEST), Ok(()));
        assert_eq!(check(&[], &DECIDE_REQUEST), Ok(()));
        let framed = v1::DecideStreamRequest {
            correlation_id: u64::MAX,
            token: "t".to_owned(),
            request: Some(call()),
            traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
            tracestate: "k=v".to_owned(),
        };
        assert_eq!(check(&framed.encode_to_vec(), &DECIDE_STREAM_REQUEST), Ok(()));
    }

    #[test]
    fn an_explicit_default_is_no_offence() {
        // protobufjs writes `dry_run: false` when the caller sets it.
        assert_eq!(check(&[8 << 3, 0], &DECIDE_REQUEST), Ok(()));
    }

    #[test]
    fn unknown_repeated_and_mistyped_fields_are_refused() {
        let message = "DecideRequest";
        let with = |suffix: &[u8]| [call().encode_to_vec(), suffix.to_vec()].concat();
        for (bytes, expected) in [
            (with(&[12 << 3, 1]), BadShape::UnknownField { message, tag: 12 }),
            (with(&[0x82, 0x7d, 0]), BadShape::UnknownField { message, tag: 2000 }),
            (with(&[2 << 3 | 2, 1, b'x']), BadShape::RepeatedField { message, tag: 2 }),
            (with(&[6 << 3, 1]), BadShape::WireType { message, tag: 6 }),
            (with(&[7 << 3 | 3]), BadShape::WireType { message, tag: 7 }),
            (with(&[7 << 3 | 2, 9, b'x']), BadShape::Malformed { message }),
            (
                with(&[7 << 3 | 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
                BadShape::Malformed { message },
            ),
            (with(&[0xff]), BadShape::Malformed { message }),
        ] {
            assert_eq!(check(&bytes, &DECIDE_REQUEST), Err(expected), "{bytes:?}");
        }
    }

    #[test]
    fn the_call_inside_a_stream_message_is_checked_too() {
        let inner = [call().encode_to_vec(), vec![12 << 3, 1]].concat();
        let framed = [vec![3 << 3 | 2, u8::try_from(inner.len()).expect("short")], inner].concat();
        let expected = BadShape::UnknownField { message: "DecideRequest", tag: 12 };
        assert_eq!(check(&framed, &DECIDE_STREAM_REQUEST), Err(expected));
    }
}
