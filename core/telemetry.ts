/** What edge, stores and readers of telemetry say to each other: a point, and where Analytics Engine keeps its fields. */

/** What counts as harm to the user who had the value. */
export interface Predicate {
	readonly op: "lt" | "lte" | "gt" | "gte" | "equals";
	readonly value: number;
}

/** A signal of the rollout that took the point's value for harm. */
export interface Harm {
	readonly signal: string;
	/** The signal's place among those of its metric, the same for the whole rollout: which column says so in Analytics Engine. */
	readonly slot: number;
}

/** So many signals may look at one metric in one plan: Analytics Engine has 20 numbers a point, and four are taken. */
export const SLOTS_MAX = 16;

/**
 * One measured outcome of one user, ready for the store: once in each of its rollouts, and once for each flag that is measured
 * outside one (then `rollout` is empty and `arm` is "outside").
 */
export interface Point {
	/** The event's id, by which a repetition is known for 24 h. */
	readonly id: string | null;
	readonly rollout: string;
	readonly stage: number;
	/** Buckets that were served the candidate when the event happened, of 100,000. */
	readonly served: number;
	/** Which of the rollout's rings its user was in, counted from 1; absent: it has none. */
	readonly ring?: number;
	/** `unattributed`: its context lacks an attribute that a rule looks at. It is counted and shown, and is no evidence. */
	readonly arm: "candidate" | "control" | "unattributed" | "outside";
	/** What the flag served the user then; the rollout's own when the event names no flag. Both empty for unattributed points. */
	readonly flag: string;
	readonly variant: string;
	readonly metric: string;
	/** A keyed hash of the value that was bucketed: the value itself never leaves the edge. */
	readonly unit: string;
	readonly value: number;
	readonly harms: readonly Harm[];
	/** The user's values are scored: a guard compares the arms' latencies since its warm-up. */
	readonly scored: boolean;
	/** The first point of its event: what counts events counts only these. */
	readonly first: boolean;
}

/** A measurement of an origin itself, as `cpu_percent` or `connections`. */
export interface SystemPoint {
	readonly origin: string;
	readonly metric: string;
	readonly value: number;
}

/**
 * Analytics Engine samples by index. Harm has its own, or it would vanish among the outcomes of a busy rollout; both arms share
 * one, so they are sampled alike. Keys have no slash, so no two of these are the same but a rollout's and a flag's of one name:
 * what reads outcomes looks at the arm as well.
 */
export const INDEXES = {
	/** Of a rollout, or of a flag that is measured outside one. */
	outcomes: (environment: string, key: string): string => `${environment}/${key}`,
	harm: (environment: string, rollout: string): string => `${environment}/${rollout}/harm`,
	/** The origins' own measurements. */
	system: (environment: string): string => `${environment}/system`,
} as const;

/** Analytics Engine's columns. A number that a point does not have is 0 there, a text empty. */
export const COLUMNS = {
	index: "index1",
	schema: "blob1",
	/** One of KINDS. */
	kind: "blob2",
	environment: "blob3",
	flag: "blob4",
	variant: "blob5",
	rollout: "blob6",
	/** As text: it is compared, never summed. */
	stage: "blob7",
	metric: "blob8",
	/** Of a harm point. */
	signal: "blob9",
	/** The user's hash; of a system point: the origin. */
	unit: "blob10",
	arm: "blob11",
	colo: "blob12",
	route: "blob13",
	source: "blob14",
	/** As text; empty for none. */
	ring: "blob15",
	value: "double1",
	served: "double2",
	/** 1 for the first point of an event. */
	first: "double3",
	/** 1 for a value that is scored. */
	scored: "double4",
} as const;

/** The column that is 1 where the signal in that slot took the value for harm. */
export const slotColumn = (slot: number): string => `double${slot + 5}`;

export const KINDS = { outcome: "outcome", harm: "harm", system: "system" } as const;

export const TELEMETRY_SCHEMA = "1";

/** ln of a value as every store takes it: zero has none. */
export const LOG_VALUE_MIN = 1e-3;
