import { isIP } from "node:net";
import * as fc from "fast-check";
import ipaddr from "ipaddr.js";
import { expect, test } from "vitest";
import { isInNetwork, parseNetwork } from "../../../core/flags/ip";
import { isInNetworkOf } from "./reference";

const aByte = fc.oneof(fc.constantFrom(0, 1, 10, 127, 128, 192, 254, 255), fc.nat({ max: 255 }));
const aV4 = fc.array(aByte, { minLength: 4, maxLength: 4 }).map((bytes) => bytes.join("."));
const aGroup = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.constantFrom(1, 0xdb8, 0x2001, 0xffff), fc.nat({ max: 0xffff }));
/** Every way to write one: in full, zeros left out, capitals, the last 32 bits as IPv4. */
const aV6 = fc
	.tuple(fc.array(aGroup, { minLength: 8, maxLength: 8 }), aV4, fc.constantFrom("plain", "short", "capitals", "tail", "mapped", "padded"))
	.map(([groups, v4, form]) => {
		const full = groups.map((group) => group.toString(16)).join(":");
		if (form === "short") return new ipaddr.IPv6(groups).toRFC5952String();
		if (form === "capitals") return full.toUpperCase();
		if (form === "padded") return groups.map((group) => group.toString(16).padStart(4, "0")).join(":");
		if (form === "tail") return `${full.split(":").slice(0, 6).join(":")}:${v4}`;
		return form === "mapped" ? `::ffff:${v4}` : full;
	});
const anAddress = fc.oneof(aV4, aV6);
const aMutation = fc
	.tuple(
		anAddress,
		fc.nat({ max: 40 }),
		fc.constantFrom("", ":", "::", ".", "0", "f", "g", "1", "%eth0", " ", "/8", "-1", "256"),
		fc.nat({ max: 3 }),
	)
	.map(([address, at, inserted, removed]) => address.slice(0, at) + inserted + address.slice(at + removed));

const EVERYWHERE = ["0.0.0.0/0", "::/0"].map((text) => parseNetwork(text) ?? ([[], 0] as const));
const isAddress = (text: string): boolean => EVERYWHERE.some((network) => isInNetwork(text, network));

test("what Node takes for an address is one, and nothing else is; zones are not known", () => {
	fc.assert(
		fc.property(fc.oneof(anAddress, aMutation), (text) => {
			const expected = isIP(text) !== 0 && !text.includes("%");
			expect(isAddress(text), text).toBe(expected);
			expect(parseNetwork(text) !== undefined || text.includes("/"), text).toBe(expected || text.includes("/"));
		}),
		{ numRuns: 3_000 },
	);
});

test("an address is in a network when ipaddr.js says so", () => {
	const aPair = fc.tuple(anAddress, anAddress, fc.nat({ max: 128 }), fc.boolean());
	let inside = 0;
	fc.assert(
		fc.property(aPair, ([address, other, length, isNear]) => {
			// Near: the address's own network, so that both answers come often.
			const base = isNear ? address : other;
			const bitsMax = ipaddr.process(base).kind() === "ipv4" ? 32 : 128;
			const text = `${base}/${length % (bitsMax + 1)}`;
			const network = parseNetwork(text);
			if (!network) throw new Error(`${text} is a network`);
			const expected = isInNetworkOf(address, text);
			inside += Number(expected);
			expect(isInNetwork(address, network), `${address} in ${text}`).toBe(expected);
		}),
		{ numRuns: 3_000 },
	);
	expect(inside).toBeGreaterThan(1_000);
});

test("every prefix length keeps exactly its bits", () => {
	for (let bits = 0; bits <= 128; bits++) {
		const network = parseNetwork(`::/${bits}`);
		if (!network) throw new Error("no network");
		for (let set = 0; set < 128; set++) {
			const groups = Array.from({ length: 8 }, (_, i) => (i === set >> 4 ? 0x8000 >> (set & 15) : 0));
			// Those that IPv6 writes for IPv4 are none of its own.
			const address = groups.map((group) => group.toString(16)).join(":");
			expect(isInNetwork(address, network), `bit ${set} in ::/${bits}`).toBe(set >= bits);
		}
	}
});

test.each([
	["a prefix beyond IPv4's bits", "10.0.0.0/33"],
	["a prefix beyond IPv6's bits", "::/129"],
	["a negative prefix", "10.0.0.0/-1"],
	["no prefix after the slash", "10.0.0.0/"],
	["two prefixes", "10.0.0.0/8/8"],
	["a mask", "10.0.0.0/255.0.0.0"],
	["a fraction", "10.0.0.0/8.5"],
	["three numbers", "10.0.0/8"],
	["a number beyond 255", "10.0.0.256"],
	["octal", "010.0.0.1"],
	["hexadecimal", "0x0a.0.0.1"],
	["a bare integer", "167772161"],
	["two gaps", "1::2::3"],
	["a gap for no group", "1:2:3:4::5:6:7:8"],
	["nine groups", "1:2:3:4:5:6:7:8:9"],
	["a group of five digits", "12345::"],
	["IPv4 in the middle", "::1.2.3.4:5"],
	["a zone", "fe80::1%eth0"],
	["a prefix of IPv6 on an address of IPv4 in it", "::ffff:10.0.0.0/104"],
	["a name", "localhost"],
	["a port", "10.0.0.1:80"],
	["nothing", ""],
])("no network: %s", (_, text) => expect(parseNetwork(text)).toBeUndefined());
