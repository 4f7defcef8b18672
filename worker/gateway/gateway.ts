import type { Fuse } from "../../core/gateway/fuse";
import type { Origin } from "../../core/gateway/packed";
import type { Compared, ComparisonStore, PointStore } from "../../core/wire";
import type { Point } from "../../core/telemetry";
import { type Hosts, noHosts } from "./hosts";
import type { Measured, Outcomes } from "./measure";
import { type Turn, nobodysTurn } from "./turn";

/** Asks an origin; rejects when it does not answer. */
export type Ask = (origin: Origin, url: string, init: RequestInit) => Promise<Response>;

/** What the proxying of a request needs besides a snapshot. */
export interface Gateway {
	readonly ask: Ask;
	readonly kept: Kept;
	/** The secret that signs previews; undefined or empty: there are none. */
	readonly previewKey: string | undefined;
	/** A number in [0, 1). */
	readonly draw: () => number;
	/** The store of one flush, for the points of a route: where they come from is kept with them. */
	readonly points: (colo: string) => (route: string) => PointStore;
	/** undefined: nobody takes comparisons. */
	readonly comparisons: ComparisonStore | undefined;
	/** How long the first of what is gathered waits for company. */
	readonly flushAfterMs: number;
	/** Where so many requests have gathered before, it waits no longer. */
	readonly urgentFrom: number;
}

export interface Gathered {
	readonly environment: string;
	readonly route: string;
	readonly point: Point;
}

/** A request of which nobody has learnt yet. */
export interface Unlearnt {
	readonly of: Measured;
	readonly outcomes: Outcomes;
}

/** Points of a rollout that no store has. */
export interface Lost {
	readonly environment: string;
	readonly route: string;
	/** One of them. */
	readonly point: Point;
	count: number;
}

/** What the requests of an isolate leave to each other: plain data. */
export interface Kept {
	readonly hosts: Hosts;
	/** By environment and rollout. */
	readonly fuses: Map<string, Fuse>;
	readonly unlearnt: Unlearnt[];
	points: Gathered[];
	readonly lost: Map<string, Lost>;
	readonly pointsTurn: Turn;
	/** So many points are sent at once. */
	batchMax: number;
	/** By environment, subject and phase. */
	compared: Map<string, { readonly environment: string; readonly compared: Compared }>;
	readonly comparedTurn: Turn;
	/** The shadow requests under way: when each began, and the memory that it may come to hold. */
	readonly shadowing: Set<{ readonly sinceMs: number; readonly bytes: number }>;
	/** Shadow requests that found no room, since it was logged last. */
	readonly skipped: { count: number; loggedAtMs: number };
	/** It was logged that nothing can be measured. */
	isWarned: boolean;
}

export const nothingKept = (): Kept => ({
	hosts: noHosts(),
	fuses: new Map(),
	unlearnt: [],
	points: [],
	lost: new Map(),
	pointsTurn: nobodysTurn(),
	batchMax: 500,
	compared: new Map(),
	comparedTurn: nobodysTurn(),
	shadowing: new Set(),
	skipped: { count: 0, loggedAtMs: 0 },
	isWarned: false,
});
