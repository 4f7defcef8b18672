import { comparePaths, matchesPath, partsOf } from "./path";
import type { PackedGateway, PackedProtection, PackedRoute } from "./packed";

/** Which route a request takes. Built once a snapshot; a choice looks at its host's routes only. */
export interface Routes {
	readonly hosts: ReadonlyMap<string, readonly PackedRoute[]>;
	readonly protections: readonly PackedProtection[];
}

export function routesOf({ routes, protections }: PackedGateway): Routes {
	const hosts = new Map<string, PackedRoute[]>();
	for (const route of [...routes].sort(precedence)) {
		const own = hosts.get(route.host);
		if (own) own.push(route);
		else hosts.set(route.host, [route]);
	}
	return { hosts, protections };
}

/** The longest path first; of two alike the one that names methods. What is alike in both was refused when it was written. */
function precedence(a: PackedRoute, b: PackedRoute): number {
	return comparePaths(a.path, b.path) || Number(b.methods !== undefined) - Number(a.methods !== undefined) || (a.key < b.key ? -1 : 1);
}

export type Choice =
	| { readonly kind: "route"; readonly route: PackedRoute }
	| { readonly kind: "no_route" }
	| { readonly kind: "no_method"; readonly allowed: readonly string[] };

/** `host` in lower case, with its port where it is none of the default ones; the path is comparable. */
export function choose({ hosts }: Routes, host: string, pathname: string, method: string): Choice {
	const parts = partsOf(pathname);
	const allowed: string[] = [];
	for (const route of hosts.get(host) ?? []) {
		if (!matchesPath(route.path, parts)) continue;
		if (!route.methods || route.methods.includes(method)) return { kind: "route", route };
		allowed.push(...route.methods);
	}
	return allowed.length > 0 ? { kind: "no_method", allowed: [...new Set(allowed)] } : { kind: "no_route" };
}

/** Two routes that could take the same request with nothing to tell which: same host and path, and a method in common. */
export function conflict(a: PackedRoute, b: PackedRoute): boolean {
	if (a.host !== b.host || a.path.length !== b.path.length || a.path.some((part, i) => part !== b.path[i])) return false;
	if ((a.methods === undefined) !== (b.methods === undefined)) return false;
	return !a.methods || !b.methods || a.methods.some((method) => b.methods?.includes(method) === true);
}
