import { type Network, isInNetwork, parseNetwork } from "./flags/ip";

const networks = (texts: string): Network[] =>
	texts
		.split(" ")
		.map(parseNetwork)
		.filter((each) => each !== undefined);
const ALL_V4 = networks("0.0.0.0/0");
/** What is not the Internet: this host, private, shared, link-local, documentation, benchmarks, multicast, reserved (RFC 6890). */
const NOT_PUBLIC_V4 = networks(
	"0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 " +
		"192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4",
);
/** Global unicast, without what stands for an IPv4 address (Teredo, 6to4) and what is for documentation. */
const PUBLIC_V6 = networks("2000::/3");
const NOT_PUBLIC_V6 = networks("2001::/23 2001:db8::/32 2002::/16 3fff::/20");
const LOCAL_NAME = /(?:^|\.)(?:localhost|localdomain|local|internal|intranet|private|corp|home|lan|svc|home\.arpa)$/;

/**
 * Whether a host is on the public Internet, as far as its name tells; as URL writes it, that is in the one canonical way for addresses. A name
 * is not resolved.
 */
export function isPublicHost(hostname: string): boolean {
	if (hostname.startsWith("[")) return isPublicAddress(hostname.slice(1, -1));
	const name = hostname.replace(/\.$/, "");
	return /^[\d.]+$/.test(name) ? isPublicAddress(name) : name.includes(".") && !LOCAL_NAME.test(name);
}

function isPublicAddress(address: string): boolean {
	const isIn = (some: readonly Network[]) => some.some((network) => isInNetwork(address, network));
	return isIn(ALL_V4) ? !isIn(NOT_PUBLIC_V4) : isIn(PUBLIC_V6) && !isIn(NOT_PUBLIC_V6);
}
