//! What to do about a problem, in one sentence per code. `docs/admin-errors.md` has the long form.

use super::code::{ApiCode, ProblemCode};
use crate::command::Code;

/// What to do about `code`.
pub(crate) fn help(code: ProblemCode) -> &'static str {
    match code {
        ProblemCode::Refused(code) => of_refused(code),
        ProblemCode::Api(code) => of_api(code),
    }
}

fn of_refused(code: Code) -> &'static str {
    match code {
        Code::NotInitialized => "Make the cluster first, or wait until this node has joined one.",
        Code::AlreadyInitialized => "Use the cluster that is there; a new one needs empty data folders.",
        Code::UnknownCommand => {
            "Run the newer software on every control node, then raise the cluster's level."
        }
        Code::Unauthenticated => "Get a new token of yourself, and send it as `Authorization: Bearer`.",
        Code::Forbidden => "Ask an administrator for one of the roles named.",
        Code::FourEyes => "Let somebody else than the version's author put it into force.",
        Code::Invalid => "Correct the field.",
        Code::UnknownTenant => "Look at the list of tenants; make the tenant if it is new.",
        Code::TenantRetired => {
            "Use another tenant: a retired one never comes back, and its name is not used again."
        }
        Code::UnknownAgent => "Look at the tenant's agents; register the agent if it is new.",
        Code::AgentDisabled => "Permit the agent again, if that is what you want.",
        Code::ProofRefused => "Look at the agent's keys and at what was revoked.",
        Code::ScopeExceeded => "Ask for less, or let an operator register the agent for more.",
        Code::ChainTooDeep => "Let the agents call each other less deeply.",
        Code::TooFast => "Use a token until shortly before it ends, and wait as long as the problem says.",
        Code::UnknownIssuer => "Look at the tenant's issuers.",
        Code::UnknownVersion => "Look at the tenant's versions.",
        Code::VersionRetired => "Take another version, or publish the same sources again.",
        Code::VersionInForce => "Put another version into force first.",
        Code::UnknownLabel => "Look at the tenant's labels.",
        Code::UnknownChannel => {
            "Look at the tenant's channels; make the one that the policy names, or take it out of the policy."
        }
        Code::UnknownHold => "Look at the tenant's legal holds.",
        Code::ChannelInUse => "Put a version into force first whose policies do not name the channel.",
        Code::UnknownPerson => "Look at the list of people; make the person if they are new.",
        Code::UnknownRole => "Look at which roles the person has in which scope.",
        Code::UnknownToken => "Look at the person's tokens; one that has ended is forgotten.",
        Code::UnknownKey => "Look at the list of keys.",
        Code::UnknownDataNode => "Look at the list of data nodes.",
        Code::UnknownBudget => {
            "Look at the list of budgets; one is there once a call needed it in its epoch."
        }
        Code::UnknownApproval => "Look at the tenant's requests; one that ended long ago is forgotten.",
        Code::ApprovalClosed => {
            "Look at how the request stands; let the agent ask again if the call is still needed."
        }
        Code::SelfApproval => "Let somebody else decide.",
        Code::UnknownMember => "Look at the members of the cluster.",
        Code::AlreadyExists => "Use another name, or the one that is there.",
        Code::NodeRetired => "Let the node join with an empty data folder: it gets a new id.",
        Code::NameDiffers => "Give the node a data folder of its own.",
        Code::PreconditionFailed => "Look at what is current, decide anew, and try again with that.",
        Code::MissingChunks => "Publish again.",
        Code::TooMany => "Remove what is no longer needed, or wait until it ends by itself.",
        Code::NothingToRollBack => "Name the version to go back to.",
        Code::LastAdmin => "Give somebody else the role `admin` on `*` first.",
        Code::LastKey => "Rotate: that adds a new key before the old one is retired.",
        Code::KeyRetired => "Try again: the newest key signs.",
        Code::MembersBehind => "Run the newer software on the members named, or remove them.",
        Code::IdempotencyConflict => "Use a new idempotency key for another request.",
        Code::Unrecognized => "Ask a node with the newest software.",
    }
}

fn of_api(code: ApiCode) -> &'static str {
    match code {
        ApiCode::Malformed => "Correct the request at the place named.",
        ApiCode::NotFound => "Look at `/admin/v1/openapi.json` for what there is.",
        ApiCode::MethodNotAllowed => "Use one of the methods of the header `Allow`.",
        ApiCode::UnsupportedMediaType => "Send the type named, without `Content-Encoding`.",
        ApiCode::TooLarge => "Send less; a large policy is best published as a bundle.",
        ApiCode::TooSlow => "Send the whole body at once.",
        ApiCode::PolicyRejected => {
            "Correct the policy at the places listed; `aegis policy check` finds the same."
        }
        ApiCode::BundleRejected => {
            "Build the bundle with the version that the cluster runs, or publish its sources."
        }
        ApiCode::MembershipRefused => "Look at the members of the cluster, and do as the reason says.",
        ApiCode::Overloaded => "Try again after a pause.",
        ApiCode::Unavailable => "Try again, or ask another control node.",
        ApiCode::OutcomeUnknown => "Repeat the same request with the same idempotency key, or look first.",
        ApiCode::TimedOut => "Repeat the same request with the same idempotency key, or look first.",
        ApiCode::Internal => "Try another control node, and look into the log of this one.",
    }
}
