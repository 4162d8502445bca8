//! Channels, and what they were told of requests for approval.

use aegis_identity::mint::new_token_id;
use aegis_proto::admin::{
    Channel, ChannelList, ChannelMember, ChannelRequest, ChannelTested, Delivery, DeliveryList,
    DeliveryListRequest, SetChannelRequest, TenantListRequest,
};
use aegis_proto::control as rows;
use aegis_proto::control::{ApprovalState, ChannelKind, DeliveryState};

use super::{row, tenants};
use crate::admin::access::Read;
use crate::admin::caller::Caller;
use crate::admin::{Problem, form};
use crate::command::{Code, Refused, set_channel_kind_name};
use crate::deliveries::{callback, setting};
use crate::state::{approvals, channels, deliveries};

/// Pages that are looked at for one that holds anything, where a filter leaves little: the rest is left to the next call.
const PAGES_MAX: usize = 16;

/// A tenant's channels, by name.
pub(crate) async fn list(caller: &Caller, request: TenantListRequest) -> Result<ChannelList, Problem> {
    let (tenant, query) = (form::tenant(&request.tenant)?, form::page(request.limit, &request.cursor)?);
    let state = caller.reads(Read::Tenant(&tenant)).await?;
    tenants::known(&state, &tenant)?;
    let (items, next) = form::listed(channels::channels(&state, &tenant, &query)?, shown);
    Ok(ChannelList { items, next })
}

/// Makes a channel, or changes one.
pub(crate) async fn set(caller: &Caller, request: SetChannelRequest) -> Result<Channel, Problem> {
    let tenant = form::tenant(&request.tenant)?;
    // Before anything is looked up or sealed; it is asked once more when the command is applied.
    let state = caller.reads(Read::Channels(&tenant)).await?;
    tenants::known(&state, &tenant)?;
    let admin = caller.admin();
    let command = setting::command(admin.sender(), &state, &tenant, &request, &mut admin.randomness())?;
    drop(state);
    row!(caller.write("SetChannel", &request, command).await?, Channel).map(shown)
}

/// Takes a channel away.
pub(crate) async fn remove(caller: &Caller, request: ChannelRequest) -> Result<Channel, Problem> {
    let command = rows::RemoveChannel { tenant: request.tenant.clone(), name: request.channel.clone() };
    row!(caller.write("RemoveChannel", &request, command).await?, Channel).map(shown)
}

/// Sends a message that asks nobody for anything.
pub(crate) async fn test(caller: &Caller, request: ChannelRequest) -> Result<ChannelTested, Problem> {
    let tenant = form::tenant(&request.tenant)?;
    let state = caller.reads(Read::Channels(&tenant)).await?;
    tenants::known(&state, &tenant)?;
    let channel = channels::channel(&state, &tenant, &request.channel)?;
    let unknown = || Refused::unknown(Code::UnknownChannel, "channel", &request.channel);
    let channel = channel.ok_or_else(unknown)?;
    let admin = caller.admin();
    let id = new_token_id(&mut admin.randomness());
    setting::test(admin.sender(), state, &tenant, &channel, &id).await
}

/// What channels were told, and are still to be told.
pub(crate) async fn deliveries(
    caller: &Caller,
    request: DeliveryListRequest,
) -> Result<DeliveryList, Problem> {
    let tenant = form::tenant(&request.tenant)?;
    if !STATES.into_iter().any(|state| state_name(state) == request.state) {
        let form = "`waiting`, `told`, `grouped`, `ended` or `given_up`";
        return Err(Problem::invalid("state", form));
    }
    let mut query = form::page(request.limit, &request.cursor)?;
    let state = caller.reads(Read::Tenant(&tenant)).await?;
    tenants::known(&state, &tenant)?;
    let mut pages = 0;
    loop {
        let page = deliveries::deliveries(&state, &tenant, &query)?;
        let next = page.next.clone();
        let (mut items, told) = form::listed(page, delivery);
        let is = |wanted: &str, value: &str| wanted.is_empty() || wanted == value;
        items.retain(|it| is(&request.state, &it.state) && is(&request.channel, &it.channel));
        pages += 1;
        match next {
            Some(next) if items.is_empty() && pages < PAGES_MAX => query = query.after(next),
            Some(_) | None => return Ok(DeliveryList { items, next: told }),
        }
    }
}

fn shown(row: rows::Channel) -> Channel {
    let kind = row.kind();
    let member = |it: rows::ChannelPerson| ChannelMember { user: it.user, person: it.person };
    let callback = match (kind, row.tenant.parse()) {
        (ChannelKind::Slack, Ok(tenant)) => callback::path(&tenant, &row.name),
        _ => String::new(),
    };
    Channel {
        tenant: row.tenant,
        name: row.name,
        kind: set_channel_kind_name(kind).to_owned(),
        host: row.host,
        target: row.target,
        workspace: row.workspace,
        members: row.people.into_iter().map(member).collect(),
        revision: row.revision,
        by: row.by,
        at: form::time(row.at_ms),
        callback,
        parameters: setting::parameters(row.as_asked).to_owned(),
    }
}

const STATES: [DeliveryState; 6] = [
    DeliveryState::Unspecified,
    DeliveryState::Waiting,
    DeliveryState::Told,
    DeliveryState::Grouped,
    DeliveryState::Ended,
    DeliveryState::GivenUp,
];

fn state_name(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Unspecified => "",
        DeliveryState::Waiting => "waiting",
        DeliveryState::Told => "told",
        DeliveryState::Grouped => "grouped",
        DeliveryState::Ended => "ended",
        DeliveryState::GivenUp => "given_up",
    }
}

fn delivery(row: rows::Delivery) -> Delivery {
    let (state, told) = (row.state(), row.told());
    let moment = |ms: u64| if ms == 0 { String::new() } else { form::time(ms) };
    let told = if told == ApprovalState::Unspecified { "" } else { approvals::state_name(told) };
    Delivery {
        tenant: row.tenant,
        approval: row.approval,
        channel: row.channel,
        state: state_name(state).to_owned(),
        told: told.to_owned(),
        told_at: moment(row.told_ms),
        attempts: row.attempts,
        next_at: moment(row.next_ms),
        error: row.error,
    }
}
