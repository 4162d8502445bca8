//! Where a process listens, asked of the kernel: for programs that do not say which port they got.

use std::net::{Ipv4Addr, SocketAddr};

/// The loopback address at which process `id` listens, if it does.
pub(super) fn loopback_of(id: u32) -> Option<SocketAddr> {
    let sockets = std::fs::read_dir(format!("/proc/{id}/fd")).ok()?;
    let sockets: Vec<String> = sockets
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|target| Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let table = std::fs::read_to_string(format!("/proc/{id}/net/tcp")).ok()?;
    table.lines().find_map(|line| listening(line, &sockets))
}

/// One line of `/proc/PID/net/tcp`: `sl local_address rem_address st … inode`, addresses in hexadecimal, the IPv4
/// address in the machine's byte order. See proc_pid_net(5).
fn listening(line: &str, sockets: &[String]) -> Option<SocketAddr> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    if *state != "0A" || !sockets.iter().any(|socket| socket == inode) {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    let address = Ipv4Addr::from(u32::from_str_radix(address, 16).ok()?.to_ne_bytes());
    let port = u16::from_str_radix(port, 16).ok()?;
    address.is_loopback().then_some(SocketAddr::from((address, port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_listening_socket_is_found() {
        let (_socket, address) = aegis_testkit::loopback().unwrap();
        // Other tests of this process may listen too; ours is among what the kernel names.
        assert!(loopback_of(std::process::id()).is_some());
        let port = address.port();
        let local = u32::from_ne_bytes([127, 0, 0, 1]);
        let line = |state: &str| {
            format!(
                "   0: {local:08X}:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  0  0 4711 1"
            )
        };
        let sockets = ["4711".to_owned()];
        assert_eq!(listening(&line("0A"), &sockets), Some(address));
        assert_eq!(listening(&line("01"), &sockets), None, "connected, not listening");
        assert_eq!(listening(&line("0A"), &["4712".to_owned()]), None, "somebody else's");
        assert_eq!(listening("  sl  local_address rem_address   st", &sockets), None);
    }
}
