import type { Head } from "../../core/wire";

/** Whose routes a host has, made once a head: most requests are none of the gateway's, and pay one comparison for it. */
export interface Hosts {
	head: Head | undefined;
	/** undefined: no environment has a host. */
	environments: Map<string, string> | undefined;
}
export const noHosts = (): Hosts => ({ head: undefined, environments: undefined });

/** The environment that proxies the URL's host. */
export function environmentOf(hosts: Hosts, head: Head | undefined, url: string): string | undefined {
	if (hosts.head !== head) {
		hosts.head = head;
		hosts.environments = head && environmentsOf(head);
	}
	return hosts.environments?.get(hostIn(url));
}

/** Lower case, no user, no port that is the default one. */
const PLAIN = /^[a-z0-9-]+(?:\.[a-z0-9-]+)*(?::(?!80$|443$)[1-9]\d*)?$/;

/** The runtime's URLs hold the host as the client wrote it, which is mostly in the one spelling that routes have. */
function hostIn(url: string): string {
	const from = url.indexOf("://") + 3;
	const end = url.indexOf("/", from);
	const host = end < 0 ? url.slice(from) : url.slice(from, end);
	return PLAIN.test(host) ? host : URL.canParse(url) ? hostOf(new URL(url)) : "";
}

/** "shop.example." is the same host as "shop.example". */
export const hostOf = ({ host }: URL): string => host.replace(/\.(?=:|$)/, "");

/** Control refuses a host that two environments want; of a head written by hand the first wins. */
function environmentsOf({ environments }: Head): Map<string, string> | undefined {
	const found = new Map<string, string>();
	for (const [name, { hosts = [] }] of Object.entries(environments)) for (const host of hosts) if (!found.has(host)) found.set(host, name);
	return found.size > 0 ? found : undefined;
}
