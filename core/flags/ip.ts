/** An address as 16-bit groups: two for IPv4, eight for IPv6. */
type Address = readonly number[];

/** A network: its groups and how many of their leading bits count. */
export type Network = readonly [groups: Address, bits: number];

const CHARACTERS_MAX = 45;

/** `10.0.0.0/8`, `2001:db8::/32`, or a single address. undefined: the text is none. */
export function parseNetwork(text: string): Network | undefined {
	const [address = "", prefix, ...more] = text.split("/");
	const groups = parseAddress(address);
	if (!groups || more.length > 0) return undefined;
	const bitsMax = groups.length * 16;
	if (prefix === undefined) return [groups, bitsMax];
	const bits = /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
	return bits <= bitsMax ? [groups, bits] : undefined;
}

/** Whether the address lies in the network; an IPv4 address mapped into IPv6 counts as itself. */
export function isInNetwork(text: string, [network, bits]: Network): boolean {
	const address = parseAddress(text);
	if (!address || address.length !== network.length) return false;
	for (let i = 0; i * 16 < bits; i++) {
		const kept = Math.min(16, bits - i * 16);
		if (((address[i] ?? 0) ^ (network[i] ?? 0)) >>> (16 - kept) !== 0) return false;
	}
	return true;
}

function parseAddress(text: string): Address | undefined {
	if (text.length > CHARACTERS_MAX) return undefined;
	if (!text.includes(":")) return parseV4(text);
	// The last 32 bits may be written as IPv4 (RFC 4291, 2.2).
	const lastColon = text.lastIndexOf(":");
	const tail = text.slice(lastColon + 1);
	const v4 = tail.includes(".") ? parseV4(tail) : undefined;
	if (tail.includes(".") && !v4) return undefined;
	const plain = v4 ? `${text.slice(0, lastColon + 1)}${v4.map((group) => group.toString(16)).join(":")}` : text;
	const halves = plain.split("::");
	if (halves.length > 2) return undefined;
	const [head, rest] = halves.map((half) => (half === "" ? [] : half.split(":").map(parseGroup)));
	const groups = head ?? [];
	if (rest) {
		const missing = 8 - groups.length - rest.length;
		if (missing < 1) return undefined;
		groups.push(...Array.from({ length: missing }, () => 0), ...rest);
	}
	if (groups.length !== 8 || groups.some(Number.isNaN)) return undefined;
	const isMapped = groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0);
	return isMapped ? groups.slice(6) : groups;
}

const parseGroup = (text: string): number => (/^[0-9a-f]{1,4}$/i.test(text) ? Number.parseInt(text, 16) : Number.NaN);

function parseV4(text: string): Address | undefined {
	const parts = text.split(".");
	// A leading zero is octal to some and decimal to others: refused.
	if (parts.length !== 4 || !parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256)) return undefined;
	const [a = 0, b = 0, c = 0, d = 0] = parts.map(Number);
	return [a * 256 + b, c * 256 + d];
}
