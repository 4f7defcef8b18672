import type { Overlay } from "./flags/overlay";
import type { Point, SystemPoint } from "./telemetry";

/** What edge and control say to each other: the contract lives in core because worker and control never meet. */

export interface EnvironmentHead {
	readonly version: number;
	/** SHA-256 of the body's first line without its newline, lower-case hex. */
	readonly digest: string;
	readonly overlay: Overlay;
	readonly publishedAtMs: number;
	/** Real time at which the last tick completed. */
	readonly guardedAtMs: number;
	/** Hosts that are proxied by the environment's routes; absent: none. */
	readonly hosts?: readonly string[];
}

export interface SdkKey {
	readonly environment: string;
	/** A client key may be public: it opens flags marked public only. */
	readonly kind: "server" | "client";
}

/** The small moving pointer. `revision` only grows, so the newer of two heads is known. */
export interface Head {
	readonly revision: number;
	readonly environments: Readonly<Record<string, EnvironmentHead>>;
	/** SHA-256 of an SDK key, lower-case hex → what it opens. */
	readonly keys: Readonly<Record<string, SdkKey>>;
}

/** What an isolate of the edge says of itself when it asks for the head. */
export interface EdgeSeen {
	/** Drawn by the isolate itself. */
	readonly isolate: string;
	/** Cloudflare's location; empty: not known. */
	readonly colo: string;
	/** Of the head that it serves by as it asks; 0: none yet. */
	readonly revision: number;
}

/** Control's `Head` entrypoint. */
export interface HeadSource {
	head(seen?: EdgeSeen): Promise<Head>;
	/** The body of a version for an edge that KV gave none or a damaged one; null when control no longer has that version. */
	body(environment: string, version: number): Promise<string | null>;
}

/** Control's `Telemetry` entrypoint. Resolves once the points are stored; rejects when they are not, and then none are. */
export interface PointStore {
	record(environment: string, points: readonly Point[]): Promise<void>;
	recordSystem(environment: string, points: readonly SystemPoint[]): Promise<void>;
}

/** One request that two origins were asked. Bodies are redacted, cookies and authorization are in none. */
export interface ComparedSample {
	/** Method and path. */
	readonly input: string;
	readonly legacy: string;
	readonly candidate: string;
	readonly differences: readonly { readonly at: string; readonly legacy: unknown; readonly candidate: unknown }[];
}

/** What comparing has found since it was last told, of a route, or of a flag whose application compares. */
export interface Compared {
	/** A route's key, or `flag/` and the flag's. */
	readonly subject: string;
	readonly phase: string;
	readonly queries: number;
	readonly discrepancies: number;
	readonly errors: number;
	/** Sums over those with both latencies. */
	readonly legacyMs: number;
	readonly candidateMs: number;
	readonly timed: number;
	readonly samples: readonly ComparedSample[];
}

/** Control's `Comparisons` entrypoint. */
export interface ComparisonStore {
	record(environment: string, compared: readonly Compared[]): Promise<void>;
	/** Of the ids of events that compare, those that it was not asked about within a day: the others are counted already. */
	unheard(environment: string, ids: readonly string[]): Promise<readonly string[]>;
}

/** So long without a completed tick, nobody guards a rollout. */
export const LEASE_MS = 900_000;

export const HEAD_KEY = "head";
/** Break-glass: an overlay written by hand when control is down. */
export const overrideKey = (environment: string): string => `override/${environment}`;
export const bodyKey = (environment: string, version: number): string => `snapshot/${environment}/${version}`;

/** Several edges serve: what one of them does is no news of all. */
export function isSpread(edges: readonly Pick<EdgeSeen, "colo">[]): boolean {
	return edges.length >= 3 || new Set(edges.map(({ colo }) => colo)).size >= 2;
}
