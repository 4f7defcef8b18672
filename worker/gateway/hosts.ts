import type { Head } from "../../core/wire";

/** Whose routes a host has, made once a head: most requests are none of the gateway's, and pay one comparison for it. */
export interface Hosts {
	head: Head | undefined;
	/** undefined: no environment has a host. */
	environments: Map<string, string> | undefined;
}
export const noHosts = (): Hosts => ({ head: undefined, environments: undefined });

/** The environment that proxies the URL's host. The runtime's URLs are normalised: lower case, and no default port. */
export function environmentOf(hosts: Hosts, head: Head | undefined, url: string): string | undefined {
	if (hosts.head !== head) {
		hosts.head = head;
		hosts.environments = head && environmentsOf(head);
	}
	if (!hosts.environments) return undefined;
	const from = url.indexOf("://") + 3;
	return hosts.environments.get(url.slice(from, url.indexOf("/", from)));
}

/** Control refuses a host that two environments want; of a head written by hand the first wins. */
function environmentsOf({ environments }: Head): Map<string, string> | undefined {
	const found = new Map<string, string>();
	for (const [name, { hosts = [] }] of Object.entries(environments)) for (const host of hosts) if (!found.has(host)) found.set(host, name);
	return found.size > 0 ? found : undefined;
}
