use linkspan_model::MacAddr;

/// Who a client is to servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its MAC address.
    pub mac: MacAddr,
    /// What tells it from every other client of the world (RFC 8415 §11).
    pub duid: Vec<u8>,
    /// What tells its interface from others of the same DUID.
    pub iaid: u32,
    /// The name it has; servers may make it resolve.
    pub hostname: Option<String>,
    /// It cannot receive frames to its MAC address before it has an address, because it shares it with others.
    pub broadcast: bool,
}

impl Identity {
    /// The client identifier of IPv4 (RFC 4361 §6.1).
    pub fn client_id(&self) -> Vec<u8> {
        let mut id = vec![255];
        id.extend(self.iaid.to_be_bytes());
        id.extend(&self.duid);
        id
    }

    /// A DUID (RFC 6355) made of whatever describes the client for all its life: the same parts give the same DUID.
    pub fn duid_of(parts: &[&[u8]]) -> Vec<u8> {
        // FNV-1a with 128 bits; each part is followed by its length, so that they do not run into each other.
        let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
        let mut eat =
            |byte: u8| hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        for part in parts {
            part.iter().copied().for_each(&mut eat);
            (part.len() as u64).to_be_bytes().into_iter().for_each(&mut eat);
        }
        let mut uuid = hash.to_be_bytes();
        // Version 8 (of the maker's own devising) and the variant of RFC 9562.
        uuid[6] = uuid[6] & 0x0f | 0x80;
        uuid[8] = uuid[8] & 0x3f | 0x80;
        let mut duid = vec![0, 4];
        duid.extend(uuid);
        duid
    }
}
