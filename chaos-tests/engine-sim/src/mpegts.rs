//! MPEG transport stream packets (ISO/IEC 13818-1): program tables, one video PID, clock.
//!
//! Every cycle of 20 packets is PAT, PMT and 18 video packets; the first video packet carries the
//! PCR and starts a PES packet. The video payload is H.264 filler data: well-formed, and empty.

/// Length of a packet.
pub const PACKET: usize = 188;
/// First byte of every packet.
pub const SYNC: u8 = 0x47;
/// PID of the program map table.
pub const PMT_PID: u16 = 0x1000;
/// PID of the video, which also carries the clock.
pub const VIDEO_PID: u16 = 0x0100;

const PAT_PID: u16 = 0;
const CYCLE: u64 = 20;
const TABLES: u64 = 2;
/// Ticks of the system clock per second.
const CLOCK_HZ: u64 = 27_000_000;
const STREAM_TYPE_H264: u8 = 0x1b;
/// The picture is shown half a second after its bytes arrive (90 kHz).
const PTS_DELAY: u64 = 45_000;

/// Produces packets one after another.
#[derive(Debug, Clone)]
pub struct Mux {
    index: u64,
    clock: u64,
}

impl Mux {
    /// Starts at packet `index`, with the clock where a stream of this speed has it by then.
    pub fn starting_at(index: u64, bitrate_kbps: u64) -> Self {
        let clock = u128::from(index) * u128::from(ticks_per_packet(bitrate_kbps));
        Self {
            index,
            // Wraps as the clock itself does; a stream of 26 hours is beyond any test.
            clock: clock as u64,
        }
    }

    /// The next packet; the clock advances by its time on the wire.
    pub fn next_packet(&mut self, bitrate_kbps: u64) -> [u8; PACKET] {
        let (cycle, position) = (self.index / CYCLE, self.index % CYCLE);
        let packet = match position {
            0 => table_packet(PAT_PID, cycle, &pat()),
            1 => table_packet(PMT_PID, cycle, &pmt()),
            _ => {
                let number = cycle * (CYCLE - TABLES) + position - TABLES;
                video_packet(number, position, self.clock)
            }
        };
        self.index += 1;
        self.clock = self.clock.wrapping_add(ticks_per_packet(bitrate_kbps));
        packet
    }
}

fn ticks_per_packet(bitrate_kbps: u64) -> u64 {
    (PACKET as u64 * 8 * CLOCK_HZ) / (bitrate_kbps.max(1) * 1000)
}

fn header(packet: &mut [u8; PACKET], pid: u16, start: bool, control: u8, counter: u64) {
    packet[0] = SYNC;
    packet[1] = (u8::from(start) << 6) | (pid >> 8) as u8;
    packet[2] = pid as u8;
    packet[3] = (control << 4) | (counter % 16) as u8;
}

/// A section that fits into one packet, filled up with stuffing.
fn table_packet(pid: u16, counter: u64, section: &[u8]) -> [u8; PACKET] {
    let mut packet = [0xff; PACKET];
    header(&mut packet, pid, true, 0b01, counter);
    packet[4] = 0; // The section begins right after this byte.
    packet[5..5 + section.len()].copy_from_slice(section);
    packet
}

fn section(table_id: u8, body: &[u8]) -> Vec<u8> {
    // Five bytes of table header after the length, four of CRC.
    let length = (5 + body.len() + 4) as u16;
    let mut out = vec![
        table_id,
        0xb0 | (length >> 8) as u8,
        length as u8,
        0x00, // transport stream id or program number: 1
        0x01,
        0xc1, // version 0, current
        0x00, // section 0 of 0
        0x00,
    ];
    out.extend_from_slice(body);
    let crc = crc32(&out);
    out.extend_from_slice(&crc.to_be_bytes());
    out
}

fn pat() -> Vec<u8> {
    let pid = PMT_PID.to_be_bytes();
    section(0x00, &[0x00, 0x01, 0xe0 | pid[0], pid[1]])
}

fn pmt() -> Vec<u8> {
    let pid = VIDEO_PID.to_be_bytes();
    let clock_pid = [0xe0 | pid[0], pid[1]];
    let no_descriptors = [0xf0, 0x00];
    let stream = [STREAM_TYPE_H264, 0xe0 | pid[0], pid[1], 0xf0, 0x00];
    section(0x02, &[&clock_pid[..], &no_descriptors, &stream].concat())
}

fn video_packet(number: u64, position: u64, clock: u64) -> [u8; PACKET] {
    let mut packet = [0xff; PACKET];
    if position == TABLES {
        header(&mut packet, VIDEO_PID, true, 0b11, number);
        packet[4] = 7; // Length of the adaptation field: flags and PCR.
        packet[5] = 0x10;
        packet[6..12].copy_from_slice(&pcr(clock));
        let pes = pes_start(clock);
        packet[12..12 + pes.len()].copy_from_slice(&pes);
    } else {
        header(&mut packet, VIDEO_PID, false, 0b01, number);
    }
    if position == CYCLE - 1 {
        packet[PACKET - 1] = 0x80; // Trailing bits close the filler unit.
    }
    packet
}

fn pcr(clock: u64) -> [u8; 6] {
    let base = (clock / 300) & 0x1_ffff_ffff;
    let extension = clock % 300;
    let bits = (base << 15) | (0x3f << 9) | extension;
    let bytes = bits.to_be_bytes();
    [bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]]
}

/// PES header with a presentation time, an access unit delimiter and the start of filler data.
fn pes_start(clock: u64) -> [u8; 25] {
    let pts = (clock / 300 + PTS_DELAY) & 0x1_ffff_ffff;
    [
        0x00,
        0x00,
        0x01,
        0xe0, // video stream 0
        0x00,
        0x00, // length open, allowed for video
        0x80,
        0x80,
        0x05, // a presentation time of five bytes follows
        0x21 | ((pts >> 29) & 0x0e) as u8,
        (pts >> 22) as u8,
        0x01 | ((pts >> 14) & 0xfe) as u8,
        (pts >> 7) as u8,
        0x01 | ((pts << 1) & 0xfe) as u8,
        0x00,
        0x00,
        0x00,
        0x01,
        0x09,
        0xf0, // access unit delimiter
        0x00,
        0x00,
        0x00,
        0x01,
        0x0c, // filler data
    ]
}

/// CRC-32/MPEG-2, as program tables carry it.
pub fn crc32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ (u32::from(*byte) << 24), |crc, _| {
            if crc & 0x8000_0000 == 0 { crc << 1 } else { (crc << 1) ^ 0x04c1_1db7 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    const KBPS: u64 = 4000;

    fn pid(packet: &[u8; PACKET]) -> u16 {
        u16::from_be_bytes([packet[1] & 0x1f, packet[2]])
    }

    fn read_pcr(packet: &[u8; PACKET]) -> Option<u64> {
        let has_field = packet[3] & 0x20 != 0;
        (has_field && packet[4] > 0 && packet[5] & 0x10 != 0).then(|| {
            let base = packet[6..10].iter().fold(0u64, |a, b| (a << 8) | u64::from(*b));
            let base = (base << 1) | u64::from(packet[10] >> 7);
            base * 300 + ((u64::from(packet[10] & 1) << 8) | u64::from(packet[11]))
        })
    }

    #[test]
    fn crc_matches_the_published_check_value() {
        assert_eq!(crc32(b"123456789"), 0x0376_e6e7);
    }

    #[test]
    fn packets_are_a_valid_stream() {
        let mut mux = Mux::starting_at(0, KBPS);
        let mut counters: HashMap<u16, u8> = HashMap::new();
        let (mut tables, mut clocks) = (0, Vec::new());
        for index in 0..2000u64 {
            let packet = mux.next_packet(KBPS);
            assert_eq!(packet[0], SYNC);
            let (pid, counter) = (pid(&packet), packet[3] & 0x0f);
            if let Some(last) = counters.insert(pid, counter) {
                assert_eq!(counter, (last + 1) % 16, "continuity of PID {pid} at {index}");
            }
            if pid == PAT_PID || pid == PMT_PID {
                let length = usize::from(u16::from_be_bytes([packet[6] & 0x0f, packet[7]]));
                assert_eq!(crc32(&packet[5..5 + 3 + length]), 0, "CRC over a table and its CRC");
                tables += 1;
            }
            if let Some(clock) = read_pcr(&packet) {
                assert_eq!(pid, VIDEO_PID);
                clocks.push((index, clock));
            }
        }
        assert_eq!((tables, counters.len(), clocks.len()), (200, 3, 100));
        for pair in clocks.windows(2) {
            let (packets, ticks) = (pair[1].0 - pair[0].0, pair[1].1 - pair[0].1);
            // At this speed the time of a packet is a whole number of ticks.
            assert_eq!(ticks, packets * 1504 * CLOCK_HZ / (KBPS * 1000));
        }
    }

    #[test]
    fn tables_lead_to_the_video() {
        let mut mux = Mux::starting_at(0, KBPS);
        let pat = mux.next_packet(KBPS);
        assert_eq!(u16::from_be_bytes([pat[15] & 0x1f, pat[16]]), PMT_PID);
        let pmt = mux.next_packet(KBPS);
        assert_eq!(u16::from_be_bytes([pmt[13] & 0x1f, pmt[14]]), VIDEO_PID, "PCR PID");
        assert_eq!(pmt[17], STREAM_TYPE_H264);
        assert_eq!(u16::from_be_bytes([pmt[18] & 0x1f, pmt[19]]), VIDEO_PID);
        let video = mux.next_packet(KBPS);
        assert_eq!(video[12..16], [0, 0, 1, 0xe0]);
    }

    #[test]
    fn a_later_start_continues_the_same_stream() {
        let mut whole = Mux::starting_at(0, KBPS);
        let packets: Vec<_> = (0..137).map(|_| whole.next_packet(KBPS)).collect();
        let mut rest = Mux::starting_at(60, KBPS);
        for packet in &packets[60..] {
            assert_eq!(&rest.next_packet(KBPS), packet);
        }
    }
}
