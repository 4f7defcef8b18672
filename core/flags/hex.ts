/** 32 bits as text that compares as they do. */

const DIGITS = 8;

/** 8 lower-case hex digits of an unsigned 32-bit integer. */
export const hexOf = (value: number): string => value.toString(16).padStart(DIGITS, "0");

/** The integer whose 8 lower-case hex digits are at `from`; other bytes make some other number. */
export function readHex(bytes: Uint8Array, from: number): number {
	let value = 0;
	for (let i = from; i < from + DIGITS; i++) {
		const digit = bytes[i] ?? 0;
		value = value * 16 + (digit < 58 ? digit - 48 : digit - 87);
	}
	return value;
}
