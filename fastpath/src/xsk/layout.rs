//! How the memory of a socket is cut into frames.

use xsk_rs::{
    FrameDesc,
    config::{FrameSize, QueueSize, UmemConfig},
};

/// Bytes that the kernel keeps free in front of a packet (`XDP_PACKET_HEADROOM`).
const XDP_HEADROOM: u32 = 256;

/// A number or size of frames that the kernel would refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{count} frames of {bytes} bytes: the count must be a power of two, the size 2048 or 4096")]
pub struct LayoutError {
    pub count: u32,
    pub bytes: u32,
}

/// Number and size of frames, both powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLayout {
    count: u32,
    bytes: u32,
}

impl FrameLayout {
    pub fn new(count: u32, bytes: u32) -> Result<Self, LayoutError> {
        if count.is_power_of_two() && matches!(bytes, 2048 | 4096) {
            Ok(Self { count, bytes })
        } else {
            Err(LayoutError { count, bytes })
        }
    }

    pub const fn count(self) -> u32 {
        self.count
    }

    /// The longest packet that fits into a frame.
    pub const fn packet_bytes_max(self) -> u32 {
        self.bytes - XDP_HEADROOM
    }

    /// Number of the frame that holds `address`.
    pub(super) const fn index(self, address: usize) -> usize {
        address / self.bytes as usize
    }

    /// Whether a descriptor stays inside one frame of this memory. If it does not, the kernel or the
    /// driver has a bug; one comparison a packet makes that a counter instead of a wild read.
    pub(super) fn holds(self, descriptor: &FrameDesc) -> bool {
        self.holds_range(descriptor.addr(), descriptor.lengths().data())
    }

    const fn holds_range(self, address: usize, length: usize) -> bool {
        let bytes = self.bytes as usize;
        let room = bytes - address % bytes;
        self.exists(address) && length <= room
    }

    /// Whether `address` lies in this memory.
    pub(super) const fn exists(self, address: usize) -> bool {
        self.index(address) < self.count as usize
    }

    /// The shape of the memory, with a fill and a completion ring for so many frames.
    pub(super) fn umem(self, fill: u32, completion: u32) -> Option<UmemConfig> {
        UmemConfig::builder()
            .frame_size(FrameSize::new(self.bytes).ok()?)
            .fill_queue_size(QueueSize::new(fill).ok()?)
            .comp_queue_size(QueueSize::new(completion).ok()?)
            .build()
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::FrameLayout;

    #[test]
    fn layouts() {
        #[rustfmt::skip]
        let cases = [
            (2048, 2048, true),
            (1,    4096, true),
            (0,    2048, false),
            (3,    2048, false),
            (2048, 1024, false),
            (2048, 3000, false),
            (2048, 8192, false),
        ];
        for (count, bytes, want) in cases {
            assert_eq!(
                FrameLayout::new(count, bytes).is_ok(),
                want,
                "{count} x {bytes}"
            );
        }
    }

    #[test]
    fn descriptors_stay_inside_their_frame() {
        let layout = FrameLayout::new(4, 2048).unwrap();
        assert_eq!(layout.packet_bytes_max(), 1792);
        #[rustfmt::skip]
        let cases = [
            ("first byte",              0,           0,          true),
            ("whole frame",             2048,        2048,       true),
            ("behind the headroom",     256,         1792,       true),
            ("one byte too long",       256,         1793,       false),
            ("into the next frame",     2047,        2,          false),
            ("last frame",              3 * 2048,    2048,       true),
            ("behind the last frame",   4 * 2048,    0,          false),
            ("absurd address",          usize::MAX,  1,          false),
            ("absurd length",           0,           usize::MAX, false),
        ];
        for (name, address, length, want) in cases {
            assert_eq!(layout.holds_range(address, length), want, "{name}");
        }
    }
}
