//! Network links as rtnetlink shows them, and the private pairs for packets given back.

use std::{io, net::IpAddr};

use futures_util::{StreamExt as _, TryStreamExt as _};
use rtnetlink::{
    Handle, LinkMessageBuilder, LinkUnspec, LinkVeth, MulticastGroup, new_multicast_connection,
    packet_route::{
        address::AddressAttribute,
        link::{
            AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoVeth, LinkAttribute,
            LinkFlags, LinkMessage,
        },
    },
};
use tokio::sync::watch;
use tracing::warn;

/// Largest frame that a pair carries: more than any interface hands over.
const PAIR_MTU: u32 = 16 << 10;

const ENODEV: i32 = 19;

/// The kernel refused something about links.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {source}")]
pub(super) struct LinkError {
    doing: String,
    source: rtnetlink::Error,
}

/// A link as far as the daemon cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) mtu: u32,
    pub(super) queues: u32,
    pub(super) up: bool,
}

/// Two ends of a private veth pair: workers send into the near one, and the far one turns what
/// comes out into ingress of the real interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) near: String,
    pub(super) far: String,
    pub(super) far_index: u32,
}

impl Pair {
    /// The names for the interface of this index, at most 15 bytes whatever the index.
    pub(super) fn names(ifindex: u32) -> (String, String) {
        (format!("plsd{ifindex}n"), format!("plsd{ifindex}f"))
    }
}

/// The connection to the kernel.
#[derive(Clone, Debug)]
pub(super) struct Links {
    handle: Handle,
    changes: watch::Receiver<u64>,
}

impl Links {
    /// Connects, and listens for changes of links and addresses.
    pub(super) fn connect() -> io::Result<Self> {
        let groups = [
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
        ];
        let (connection, handle, mut messages) = new_multicast_connection(&groups)?;
        tokio::spawn(connection);
        let (count, changes) = watch::channel(0_u64);
        tokio::spawn(async move {
            while messages.next().await.is_some() {
                count.send_modify(|count| *count = count.wrapping_add(1));
            }
        });
        Ok(Self { handle, changes })
    }

    /// Wakes up with each change of links or addresses.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    pub(super) async fn find(&self, name: &str) -> Result<Option<Link>, LinkError> {
        let found = self.message(name).await?;
        Ok(found.map(|message| link(name, &message)))
    }

    async fn message(&self, name: &str) -> Result<Option<LinkMessage>, LinkError> {
        let mut found = Box::pin(self.handle.link().get().match_name(name).execute());
        match found.try_next().await {
            Ok(message) => Ok(message),
            Err(error) if is_missing(&error) => Ok(None),
            Err(source) => Err(LinkError {
                doing: format!("looking for link {name}"),
                source,
            }),
        }
    }

    /// Makes a fresh pair for the interface of index `ifindex`; what a dead daemon left goes.
    pub(super) async fn make_pair(&self, ifindex: u32, queues: u32) -> Result<Pair, LinkError> {
        let (near, far) = Pair::names(ifindex);
        self.remove(&near).await?;
        self.remove(&far).await?;
        let attributes = || {
            [
                LinkAttribute::NumTxQueues(queues),
                LinkAttribute::NumRxQueues(queues),
                LinkAttribute::Mtu(PAIR_MTU),
            ]
        };
        let mut peer = LinkMessageBuilder::<LinkUnspec>::new().name(far.as_str());
        let mut pair = LinkMessageBuilder::<LinkVeth>::new(&near, &far);
        for attribute in attributes() {
            peer = peer.append_extra_attribute(attribute);
        }
        for attribute in attributes() {
            pair = pair.append_extra_attribute(attribute);
        }
        let pair = pair
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer.build())))
            .build();
        let failed = |source| LinkError {
            doing: format!("making the pair {near}, {far}"),
            source,
        };
        self.handle
            .link()
            .add(pair)
            .execute()
            .await
            .map_err(failed)?;
        // No address of its own and nothing sent unasked: what the pair carries is other people's.
        let mut far_index = 0;
        for name in [&near, &far] {
            let index = self.find(name).await?.map_or(0, |link| link.index);
            let silent = LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![
                AfSpecInet6::AddrGenMode(In6AddrGenMode::None),
            ])]);
            let message = LinkUnspec::new_with_index(index)
                .append_extra_attribute(silent)
                .build();
            self.handle
                .link()
                .set(message)
                .execute()
                .await
                .map_err(failed)?;
            let up = LinkUnspec::new_with_index(index).arp(false).up().build();
            self.handle.link().set(up).execute().await.map_err(failed)?;
            far_index = index;
        }
        Ok(Pair {
            near: near.clone(),
            far,
            far_index,
        })
    }

    /// Sets both ends of a pair up again if somebody has set one down. `false`: an end is gone.
    pub(super) async fn keep_pair(&self, pair: &Pair) -> Result<bool, LinkError> {
        for name in [&pair.near, &pair.far] {
            let Some(link) = self.find(name).await? else {
                return Ok(false);
            };
            if *name == pair.far && link.index != pair.far_index {
                return Ok(false);
            }
            if !link.up {
                warn!(
                    link = name,
                    "somebody set an end of our give-back pair down; up again"
                );
                let up = LinkUnspec::new_with_index(link.index).up().build();
                let failed = |source| LinkError {
                    doing: format!("setting {name} up"),
                    source,
                };
                self.handle.link().set(up).execute().await.map_err(failed)?;
            }
        }
        Ok(true)
    }

    /// Removes a link, if it is there.
    pub(super) async fn remove(&self, name: &str) -> Result<(), LinkError> {
        let Some(link) = self.find(name).await? else {
            return Ok(());
        };
        match self.handle.link().del(link.index).execute().await {
            Err(error) if is_missing(&error) => Ok(()),
            result => result.map_err(|source| LinkError {
                doing: format!("removing link {name}"),
                source,
            }),
        }
    }

    /// Every address of this node.
    pub(super) async fn addresses(&self) -> Result<Vec<IpAddr>, LinkError> {
        let mut addresses = Vec::new();
        let mut found = Box::pin(self.handle.address().get().execute());
        let failed = |source| LinkError {
            doing: "listing addresses".to_owned(),
            source,
        };
        while let Some(message) = found.try_next().await.map_err(failed)? {
            let mut local = None;
            let mut plain = None;
            for attribute in message.attributes {
                match attribute {
                    // On a point-to-point link `Address` is the other end.
                    AddressAttribute::Local(address) => local = Some(address),
                    AddressAttribute::Address(address) => plain = Some(address),
                    _ => {}
                }
            }
            addresses.extend(local.or(plain));
        }
        addresses.sort_unstable();
        addresses.dedup();
        Ok(addresses)
    }
}

fn link(name: &str, message: &LinkMessage) -> Link {
    let mut mtu = 1500;
    let mut most_queues = 1;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::Mtu(value) => mtu = *value,
            LinkAttribute::NumRxQueues(value) => most_queues = *value,
            _ => {}
        }
    }
    let index = message.header.index;
    Link {
        index,
        mtu,
        queues: queues_in_use(name, index).unwrap_or(most_queues),
        up: message.header.flags.contains(LinkFlags::Up),
    }
}

/// Receive queues that are in use now; netlink knows only how many there may be.
///
/// Sysfs may show another network namespace than ours: then the index of the name differs.
fn queues_in_use(name: &str, index: u32) -> Option<u32> {
    let directory = std::path::Path::new("/sys/class/net").join(name);
    let shown = std::fs::read_to_string(directory.join("ifindex")).ok()?;
    if shown.trim().parse() != Ok(index) {
        return None;
    }
    let queues = std::fs::read_dir(directory.join("queues")).ok()?;
    let names = queues.filter_map(|entry| Some(entry.ok()?.file_name()));
    let receiving = names
        .filter(|name| name.to_string_lossy().starts_with("rx-"))
        .count();
    u32::try_from(receiving).ok().filter(|count| *count > 0)
}

fn is_missing(error: &rtnetlink::Error) -> bool {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.raw_code() == -ENODEV,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::Pair;

    #[test]
    fn names_fit_whatever_the_index() {
        let (near, far) = Pair::names(u32::MAX);
        assert!(
            near.len() <= 15 && far.len() <= 15 && near != far,
            "{near} {far}"
        );
    }
}
