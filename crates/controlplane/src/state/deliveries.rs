//! What channels are still to be told of requests for approval, and what they were: the outbox.
//!
//! A row per request and channel follows the request ([`opened`], [`changed`], [`forgotten`]), in the same entry of the log as
//! what happened to it, so that nothing is told of what was not replicated, and nothing that was is forgotten.
//!
//! Through channels that people look at, a few requests of an agent are shown at a time; the others wait behind them.

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::control::{Approval, ApprovalState, ChannelKind, Delivery, DeliveryState, DeliveryWindow};
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::page::{self, Page, PageQuery};
use super::writer::Writer;
use super::{channels, key, row};

/// Tenant, zero, number of the request inverted, name of the channel → [`Delivery`]: those of the newest request first.
pub const DELIVERIES: Table = Table::new("deliveries");
/// Tenant, zero, channel, zero, when it is tried, number of the request → nothing: of each channel the first to try first.
pub const DELIVERIES_DUE: Table = Table::new("deliveries_due");
/// Tenant, zero, channel, zero, number of the request → the agent: those that wait behind others, the oldest first.
pub const DELIVERIES_BEHIND: Table = Table::new("deliveries_behind");
/// Tenant, zero, channel, zero, then nothing or an agent → [`DeliveryWindow`].
pub const DELIVERY_WINDOWS: Table = Table::new("delivery_windows");

/// What a channel was told of a request.
///
/// # Errors
/// The storage failed.
pub fn delivery(
    state: &impl StateRead,
    tenant: &TenantId,
    number: u64,
    channel: &str,
) -> Result<Option<Delivery>, StoreError> {
    row::read(state, DELIVERIES, &row_key(tenant.as_str(), number, channel))
}

/// The tenant's deliveries, those of the newest request first.
///
/// # Errors
/// The storage failed.
pub fn deliveries(
    state: &impl StateRead,
    tenant: &TenantId,
    query: &PageQuery,
) -> Result<Page<Delivery>, StoreError> {
    page::rows(state, DELIVERIES, &key::below(tenant.as_str()), query)
}

/// What is due at `now_ms`: of each channel of any tenant up to `of_channel`, the first to try first.
///
/// # Errors
/// The storage failed.
pub fn due(state: &impl StateRead, now_ms: u64, of_channel: usize) -> Result<Vec<Delivery>, StoreError> {
    let (mut found, mut after) = (Vec::new(), None::<Vec<u8>>);
    loop {
        let first = state.scan_prefix(DELIVERIES_DUE, &[], after.as_deref(), 1)?.pop();
        let Some((first, _)) = first else { return Ok(found) };
        let channel = split(&first)?.0.to_vec();
        for (key, _) in state.scan_prefix(DELIVERIES_DUE, &channel, None, of_channel)? {
            let (_, next_ms, number) = split(&key)?;
            if next_ms > now_ms {
                break;
            }
            let (tenant, name) = names(&channel)?;
            found.push(row::read(state, DELIVERIES, &row_key(tenant, number, name))?.ok_or_else(damaged)?);
        }
        // Behind everything of this channel.
        after = Some([channel.as_slice(), &[0xff; 17]].concat());
    }
}

/// What channels have not heard yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unheard {
    /// How many messages wait.
    pub waiting: u64,
    /// How many of them were refused, or did not arrive, at least once.
    pub failing: u64,
    /// Since when the oldest waits; zero: nothing waits.
    pub since_ms: u64,
}

/// What channels of all tenants have not heard yet: at most `max` messages are looked at.
///
/// # Errors
/// The storage failed.
pub fn unheard(state: &impl StateRead, max: usize) -> Result<Unheard, StoreError> {
    let mut unheard = Unheard::default();
    for (key, _) in state.scan_prefix(DELIVERIES_DUE, &[], None, max)? {
        let (channel, _, number) = split(&key)?;
        let (tenant, name) = names(channel)?;
        let delivery: Delivery =
            row::read(state, DELIVERIES, &row_key(tenant, number, name))?.ok_or_else(damaged)?;
        unheard.waiting += 1;
        unheard.failing += u64::from(delivery.attempts > 0);
        if unheard.since_ms == 0 || delivery.waiting_since_ms < unheard.since_ms {
            unheard.since_ms = delivery.waiting_since_ms;
        }
    }
    Ok(unheard)
}

/// How many requests of `agent` wait behind those that are shown through a channel.
///
/// # Errors
/// The storage failed.
pub fn behind(
    state: &impl StateRead,
    tenant: &TenantId,
    channel: &str,
    agent: &str,
) -> Result<u64, StoreError> {
    Ok(window(state, tenant.as_str(), channel, agent)?.behind)
}

/// The channels that a request tells, each once.
pub(crate) fn told_of(approval: &Approval) -> Vec<&str> {
    let mut names: Vec<&str> =
        approval.terms.iter().flat_map(|terms| terms.notify.iter().map(String::as_str)).collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(caps::NOTIFY_MAX);
    names
}

/// A request was opened: whom it names is to be told.
pub(crate) fn opened(write: &mut Writer<'_, '_>, approval: &Approval) -> Result<(), StoreError> {
    let tenant: TenantId = approval.tenant.parse().map_err(|_bad| damaged())?;
    for name in told_of(approval) {
        let mut delivery = Delivery {
            tenant: approval.tenant.clone(),
            number: approval.number,
            approval: approval.id.clone(),
            channel: name.to_owned(),
            ..Delivery::default()
        };
        match channels::channel(write, &tenant, name)? {
            // An activation makes sure that there is one; it may have been taken away since.
            None => {
                delivery.set_state(DeliveryState::GivenUp);
                "there is no channel of this name".clone_into(&mut delivery.error);
            }
            Some(channel) if channel.kind() == ChannelKind::Webhook => is_due(&mut delivery, write.now_ms()),
            Some(_) => show_or_wait(write, &mut delivery, agent_of(approval))?,
        }
        put(write, None, &delivery)?;
    }
    Ok(())
}

/// A request stands otherwise than before: whoever was told of it is told again.
pub(crate) fn changed(
    write: &mut Writer<'_, '_>,
    before: &Approval,
    after: &Approval,
) -> Result<(), StoreError> {
    let decided = before.state() == ApprovalState::Pending && after.state() != ApprovalState::Pending;
    for delivery in of_approval(write, after)? {
        let mut next = delivery.clone();
        match delivery.state() {
            DeliveryState::Grouped if decided => {
                no_longer_behind(write, &delivery, agent_of(after))?;
                next.set_state(DeliveryState::Ended);
            }
            DeliveryState::Told | DeliveryState::Ended if after.state() != delivery.told() => {
                is_due(&mut next, write.now_ms());
            }
            _ => {}
        }
        next.shown &= !decided;
        if next != delivery {
            put(write, Some(&delivery), &next)?;
        }
        if delivery.shown && decided {
            no_longer_shown(write, &delivery, agent_of(after))?;
        }
    }
    Ok(())
}

/// A request is forgotten.
pub(crate) fn forgotten(write: &mut Writer<'_, '_>, approval: &Approval) -> Result<(), StoreError> {
    for delivery in of_approval(write, approval)? {
        write.delete(DELIVERIES, &row_key(&delivery.tenant, delivery.number, &delivery.channel))?;
        if delivery.next_ms > 0 {
            write.delete(DELIVERIES_DUE, &due_key(&delivery))?;
        }
    }
    Ok(())
}

/// Puts `after` in the place of `before`.
pub(crate) fn put(
    write: &mut Writer<'_, '_>,
    before: Option<&Delivery>,
    after: &Delivery,
) -> Result<(), StoreError> {
    if let Some(before) = before.filter(|before| before.next_ms > 0) {
        write.delete(DELIVERIES_DUE, &due_key(before))?;
    }
    if after.next_ms > 0 {
        write.put_bytes(DELIVERIES_DUE, &due_key(after), &[])?;
    }
    write.put(DELIVERIES, &row_key(&after.tenant, after.number, &after.channel), after)
}

/// There is something to tell, from `at_ms` on.
pub(crate) fn is_due(delivery: &mut Delivery, at_ms: u64) {
    if delivery.state() != DeliveryState::Waiting {
        delivery.waiting_since_ms = at_ms.max(1);
    }
    delivery.set_state(DeliveryState::Waiting);
    delivery.next_ms = at_ms.max(1);
    delivery.attempts = 0;
}

fn of_approval(state: &impl StateRead, approval: &Approval) -> Result<Vec<Delivery>, StoreError> {
    let prefix = row_key(&approval.tenant, approval.number, "");
    let rows = state.scan_prefix(DELIVERIES, &prefix, None, caps::NOTIFY_MAX)?;
    rows.iter().map(|(_, value)| row::decode(DELIVERIES, value)).collect()
}

fn agent_of(approval: &Approval) -> &str {
    approval.call.as_ref().map_or("", |call| call.agent.as_str())
}

/// Shows a new request, or lets it wait behind those of its agent, or of all, that are shown.
fn show_or_wait(write: &mut Writer<'_, '_>, delivery: &mut Delivery, agent: &str) -> Result<(), StoreError> {
    let (tenant, channel) = (delivery.tenant.clone(), delivery.channel.clone());
    if has_room(write, &tenant, &channel, agent)? {
        return show(write, delivery, agent);
    }
    for whose in ["", agent] {
        let mut window = window(write, &tenant, &channel, whose)?;
        window.behind += 1;
        put_window(write, &tenant, &channel, whose, &window)?;
    }
    write.put_bytes(DELIVERIES_BEHIND, &behind_key(delivery), agent.as_bytes())?;
    delivery.set_state(DeliveryState::Grouped);
    // Whoever looks at the newest one of the agent sees in a moment that there are more.
    let last = window(write, &tenant, &channel, agent)?.last_shown;
    let last: Option<Delivery> = row::read(write, DELIVERIES, &row_key(&tenant, last, &channel))?;
    if let Some(before) = last.filter(|last| last.state() == DeliveryState::Told) {
        let mut after = before.clone();
        is_due(&mut after, write.now_ms() + caps::DELIVERY_BEHIND_MS);
        put(write, Some(&before), &after)?;
    }
    Ok(())
}

fn has_room(state: &impl StateRead, tenant: &str, channel: &str, agent: &str) -> Result<bool, StoreError> {
    Ok(window(state, tenant, channel, "")?.shown < caps::DELIVERIES_SHOWN_MAX
        && window(state, tenant, channel, agent)?.shown < caps::DELIVERIES_SHOWN_AGENT_MAX)
}

/// Makes `delivery` one of those that are shown.
fn show(write: &mut Writer<'_, '_>, delivery: &mut Delivery, agent: &str) -> Result<(), StoreError> {
    for whose in ["", agent] {
        let mut window = window(write, &delivery.tenant, &delivery.channel, whose)?;
        window.shown += 1;
        window.last_shown = delivery.number;
        put_window(write, &delivery.tenant, &delivery.channel, whose, &window)?;
    }
    delivery.shown = true;
    is_due(delivery, write.now_ms());
    Ok(())
}

fn no_longer_behind(write: &mut Writer<'_, '_>, delivery: &Delivery, agent: &str) -> Result<(), StoreError> {
    write.delete(DELIVERIES_BEHIND, &behind_key(delivery))?;
    for whose in ["", agent] {
        let mut window = window(write, &delivery.tenant, &delivery.channel, whose)?;
        window.behind = window.behind.saturating_sub(1);
        put_window(write, &delivery.tenant, &delivery.channel, whose, &window)?;
    }
    Ok(())
}

/// Gives the place of `delivery` to one that waits.
fn no_longer_shown(write: &mut Writer<'_, '_>, delivery: &Delivery, agent: &str) -> Result<(), StoreError> {
    let (tenant, channel) = (&delivery.tenant, &delivery.channel);
    for whose in ["", agent] {
        let mut window = window(write, tenant, channel, whose)?;
        window.shown = window.shown.saturating_sub(1);
        put_window(write, tenant, channel, whose, &window)?;
    }
    let prefix = behind_prefix(tenant, channel);
    let waiting = write.scan_prefix(DELIVERIES_BEHIND, &prefix, None, caps::DELIVERIES_BEHIND_LOOKED_AT)?;
    for (key, agent) in waiting {
        let agent = String::from_utf8(agent).map_err(|_bytes| damaged())?;
        if !has_room(write, tenant, channel, &agent)? {
            continue;
        }
        let number = key.get(prefix.len()..).and_then(|rest| rest.try_into().ok()).ok_or_else(damaged)?;
        let place = row_key(tenant, u64::from_be_bytes(number), channel);
        let before: Delivery = row::read(write, DELIVERIES, &place)?.ok_or_else(damaged)?;
        no_longer_behind(write, &before, &agent)?;
        let mut after = before.clone();
        show(write, &mut after, &agent)?;
        return put(write, Some(&before), &after);
    }
    Ok(())
}

fn window(
    state: &impl StateRead,
    tenant: &str,
    channel: &str,
    agent: &str,
) -> Result<DeliveryWindow, StoreError> {
    Ok(row::read(state, DELIVERY_WINDOWS, &window_key(tenant, channel, agent))?.unwrap_or_default())
}

fn put_window(
    write: &mut Writer<'_, '_>,
    tenant: &str,
    channel: &str,
    agent: &str,
    window: &DeliveryWindow,
) -> Result<(), StoreError> {
    let key = window_key(tenant, channel, agent);
    if window.shown == 0 && window.behind == 0 {
        write.delete(DELIVERY_WINDOWS, &key)?;
        return Ok(());
    }
    write.put(DELIVERY_WINDOWS, &key, window)
}

fn window_key(tenant: &str, channel: &str, agent: &str) -> Vec<u8> {
    key::pair(tenant, &key::pair(channel, agent.as_bytes()))
}

fn behind_prefix(tenant: &str, channel: &str) -> Vec<u8> {
    key::pair(tenant, &key::below(channel))
}

fn behind_key(delivery: &Delivery) -> Vec<u8> {
    [behind_prefix(&delivery.tenant, &delivery.channel).as_slice(), &key::rising(delivery.number)].concat()
}

fn row_key(tenant: &str, number: u64, channel: &str) -> Vec<u8> {
    key::pair(tenant, &[key::falling(number).as_slice(), channel.as_bytes()].concat())
}

fn due_key(delivery: &Delivery) -> Vec<u8> {
    let channel = behind_prefix(&delivery.tenant, &delivery.channel);
    [channel.as_slice(), &key::rising(delivery.next_ms), &key::rising(delivery.number)].concat()
}

/// A key of [`DELIVERIES_DUE`]: the channel it is below, when, and the number of the request.
fn split(key: &[u8]) -> Result<(&[u8], u64, u64), StoreError> {
    let (rest, number) = key.split_last_chunk::<8>().ok_or_else(damaged)?;
    let (channel, next_ms) = rest.split_last_chunk::<8>().ok_or_else(damaged)?;
    Ok((channel, u64::from_be_bytes(*next_ms), u64::from_be_bytes(*number)))
}

/// Tenant and channel of what they are followed by zeros in.
fn names(prefix: &[u8]) -> Result<(&str, &str), StoreError> {
    let text = std::str::from_utf8(prefix).map_err(|_bytes| damaged())?;
    let mut parts = text.split('\0');
    parts.next().zip(parts.next()).ok_or_else(damaged)
}

fn damaged() -> StoreError {
    StoreError::Damaged { table: DELIVERIES.name().to_owned() }
}
