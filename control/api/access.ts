import { ROLES, type Role } from "../store/tokens";

/**
 * What a token of one environment may ask: `named`, for what is in its environment, which the request or what it is about
 * names; `query`, the same, but its body may speak of others; `all`, for nothing, since this belongs to all; `own`, as anybody.
 */
type Reach = "named" | "query" | "all" | "own";

interface Rule {
	/** Below /api/v1: this, and what is below it. */
	readonly path: string;
	/** Who may read, and who may change. */
	readonly read: Role;
	readonly change: Role;
	readonly reach: Reach;
}

/** What differs from the rest. */
const RULES: readonly Rule[] = [
	{ path: "/me", read: "viewer", change: "admin", reach: "own" },
	{ path: "/tokens", read: "admin", change: "admin", reach: "all" },
	{ path: "/keys", read: "viewer", change: "admin", reach: "named" },
	{ path: "/webhooks", read: "viewer", change: "admin", reach: "all" },
	{ path: "/audit", read: "viewer", change: "admin", reach: "all" },
	{ path: "/import", read: "viewer", change: "admin", reach: "query" },
	{ path: "/promote", read: "viewer", change: "admin", reach: "all" },
	{ path: "/gateway/routes/validate", read: "viewer", change: "viewer", reach: "named" },
	// Whoever says where users' requests go reads them.
	{ path: "/gateway/routes", read: "viewer", change: "admin", reach: "named" },
	// Samples hold what users were answered.
	{ path: "/compare", read: "operator", change: "operator", reach: "named" },
	{ path: "/environments", read: "viewer", change: "admin", reach: "named" },
	// They ask with a body, and change nothing.
	{ path: "/explain", read: "viewer", change: "viewer", reach: "named" },
	{ path: "/compare-snapshots", read: "viewer", change: "viewer", reach: "named" },
];
const REST: Omit<Rule, "path"> = { read: "viewer", change: "operator", reach: "named" };

const BASE = "/api/v1";

export interface Access {
	readonly role: Role;
	readonly reach: Reach;
}

/** What a request takes; `path` is as the router has it. */
export function accessOf(method: string, path: string): Access {
	const { read, change, reach } = RULES.find((rule) => path === BASE + rule.path || path.startsWith(`${BASE}${rule.path}/`)) ?? REST;
	return { role: method === "GET" || method === "HEAD" ? read : change, reach };
}

/** A role that nobody knows may do nothing. */
export function isAtLeast(role: Role, wanted: Role): boolean {
	return ROLES.indexOf(role) >= ROLES.indexOf(wanted);
}
