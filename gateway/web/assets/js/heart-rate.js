/**
 * The Bluetooth Heart Rate Measurement (characteristic 0x2A37 of service 0x180D), from bytes to a reading. Pure.
 *
 * Flags, lowest bit first: bit 0 the rate is 16 bits wide; bits 1 and 2 contact (3: skin touched, 2: not touched,
 * else: the strap cannot tell); bit 3 two bytes of energy follow; bit 4 RR intervals of 1/1024 s follow, oldest first.
 * Everything is little-endian. A rate outside 20 to 250 bpm is a fault of the sensor, not of the heart.
 */

export const LOWEST_BPM = 20;
export const HIGHEST_BPM = 250;
const MOST_RR = 64;

/**
 * One reading. `bpm` null: no contact or no believable value; `rr` intervals in whole ms.
 * @typedef {{bpm: number | null, rr: number[]}} Reading
 * @param {DataView} bytes
 * @returns {Reading | null} null when the bytes are not a measurement
 */
export function readMeasurement(bytes) {
  if (bytes.byteLength < 2) return null;
  const flags = bytes.getUint8(0);
  const wide = Boolean(flags & 0x01);
  let at = wide ? 3 : 2;
  if (bytes.byteLength < at) return null;
  const told = wide ? bytes.getUint16(1, true) : bytes.getUint8(1);
  if (flags & 0x08) at += 2;
  const rr = [];
  if (flags & 0x10) {
    for (; at + 2 <= bytes.byteLength && rr.length < MOST_RR; at += 2) {
      const ms = Math.round((bytes.getUint16(at, true) * 1000) / 1024);
      if (ms >= 1) rr.push(ms);
    }
  }
  const contact = (flags >> 1) & 0x03;
  const believable = contact !== 2 && told >= LOWEST_BPM && told <= HIGHEST_BPM;
  return believable ? { bpm: told, rr } : { bpm: null, rr: [] };
}
