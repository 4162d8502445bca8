//! Networks whose text both engines read alike.

use std::net::IpAddr;

use regorus::Value;

use super::{Call, HostError};

const UNCLEAR: HostError = HostError::Unclear("an address or network is not in plain form");

pub(super) fn call(name: &str, mut call: Call<'_>) -> Result<Value, HostError> {
    if name != "net.cidr_contains" {
        return Err(HostError::Unknown);
    }
    let [_, _] = call.exactly()?;
    let (outer, inner) = (network(call.text(1)?)?, address_or_network(call.text(2)?)?);
    Ok(Value::from(outer.contains(&inner)))
}

/// The first address of a network as a number, and how many bits name the network.
struct Network {
    wide: bool,
    first: u128,
    bits: u32,
}

impl Network {
    fn new(address: IpAddr, bits: u32) -> Result<Self, HostError> {
        let (wide, first, width) = match address {
            IpAddr::V4(address) => (false, u128::from(address.to_bits()), 32_u32),
            IpAddr::V6(address) => (true, address.to_bits(), 128),
        };
        let below = width.checked_sub(bits).ok_or(UNCLEAR)?;
        // No bits behind the prefix, and no IPv4 address inside of an IPv6 one: OPA reads that as IPv4.
        let host_bits = if below == 128 { first } else { first & ((1 << below) - 1) };
        let embeds = wide && first >> 32 == 0xFFFF;
        if host_bits != 0 || embeds {
            return Err(UNCLEAR);
        }
        Ok(Self { wide, first, bits })
    }

    fn contains(&self, other: &Self) -> bool {
        let below = (if self.wide { 128 } else { 32 }) - self.bits;
        let prefix = |address: u128| address.checked_shr(below).unwrap_or_default();
        self.wide == other.wide && self.bits <= other.bits && prefix(self.first) == prefix(other.first)
    }
}

fn address(text: &str) -> Result<IpAddr, HostError> {
    let address: IpAddr = text.parse().map_err(|_| UNCLEAR)?;
    // IPv4 in the dotted tail of an IPv6 address is a second spelling of the same address.
    if address.is_ipv6() && text.contains('.') { Err(UNCLEAR) } else { Ok(address) }
}

fn network(text: &str) -> Result<Network, HostError> {
    let (first, bits) = text.split_once('/').ok_or(UNCLEAR)?;
    let count: u32 = bits.parse().map_err(|_| UNCLEAR)?;
    if count.to_string() != bits {
        return Err(UNCLEAR);
    }
    Network::new(address(first)?, count)
}

fn address_or_network(text: &str) -> Result<Network, HostError> {
    if text.contains('/') {
        return network(text);
    }
    let address = address(text)?;
    Network::new(address, if address.is_ipv4() { 32 } else { 128 })
}
