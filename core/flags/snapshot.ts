import type { PackedGateway } from "../gateway/packed";
import type { Signal } from "../health/signal";
import type { MetricShape } from "../metric";
import { BUCKETS, hashText, seedOf } from "./bucket";
import { hexOf } from "./hex";
import type { Flag, FlagValue, Serve } from "./model";
import { type PackedCondition, packCondition } from "./packedCondition";
import type { PatternTable } from "./pattern";
import type { Ring } from "./rings";
import type { Segment } from "./segment";

export const SCHEMA = 1;
/** The line that holds what the edge needs to attribute events. `!` sorts before every flag's key and is in none. */
export const MEASURED_LINE = "!measured";
/** The line with the routes of the environment's hosts; only where there are any. */
export const GATEWAY_LINE = "!gateway";
/** Segments have two lines each, `$name` and, with listed keys, `$name#`; both sort before every flag's key. */
export const segmentLine = (key: string): string => `$${key}`;
export const listedLine = (key: string): string => `$${key}#`;

/** The first line of a snapshot. */
export interface SnapshotHeader {
	readonly schema: number;
	readonly environment: string;
	readonly version: number;
	readonly publishedAtMs: number;
}

/** A variant by its index, or a split: upper bound of its buckets, variant, and so on; flat, since pairs take three times the memory. */
export type PackedServe = number | readonly number[];

/** What the rollout step of an evaluation needs. */
export interface PackedRollout {
	readonly key: string;
	readonly seed: number;
	/** Buckets served the candidate, of 100,000. */
	readonly served: number;
	readonly candidate: number;
	readonly baseline: number;
	readonly phase: string;
	/** Absent: it is for everybody. */
	readonly rings?: readonly Ring[];
	/** Who is no part of the rollout: served the baseline, and no evidence. */
	readonly excluded?: Excluded;
}

export interface Excluded {
	readonly keys: readonly string[];
	readonly segments: readonly string[];
}

/** The served form of a segment. */
export interface PackedSegment {
	readonly when: PackedCondition | null;
	readonly hasListed: boolean;
}

/** The served form of a flag: names resolved to indexes, defaults applied, seeds computed. */
export interface PackedFlag {
	readonly type: "boolean" | "string" | "number" | "object";
	readonly names: readonly string[];
	readonly values: readonly FlagValue[];
	readonly enabled: boolean;
	readonly off: number;
	readonly prerequisites?: readonly { readonly flag: string; readonly variants: readonly string[] }[];
	/** Variant by key. */
	readonly targets?: Readonly<Record<string, number>>;
	readonly rules: readonly { readonly id: string; readonly when: PackedCondition; readonly serve: PackedServe }[];
	readonly fallthrough: PackedServe;
	readonly seed: number;
	/** The attribute that buckets; absent: targetingKey. */
	readonly bucketBy?: string;
	readonly public?: true;
	readonly rollout?: PackedRollout;
}

/** What a rollout served before its newest phase began, for events that come late. */
export interface ServedBefore {
	readonly stage: number;
	readonly served: number;
	readonly sinceMs: number;
	readonly rings?: readonly Ring[];
	/** Its flags then; absent: as now. */
	readonly flags?: readonly string[];
}

/** A live rollout as the edge serves and measures it. */
export interface LiveRollout {
	readonly key: string;
	/** Flag → the candidate variant's name. */
	readonly flags: Readonly<Record<string, string>>;
	readonly served: number;
	/** Absent: it is for everybody. */
	readonly rings?: readonly Ring[];
	/** The same for whoever tells outcomes apart, those too that serve no more than everybody is served; absent: the same. */
	readonly numbered?: readonly Ring[];
	readonly phase: string;
	/** How many phases have been entered, this one included: unlike a phase's index it never comes twice. */
	readonly stage: number;
	readonly sinceMs: number;
	readonly before: ServedBefore | null;
	readonly excluded: Excluded;
	/** Its users go back when nobody guards it. */
	readonly retreats: boolean;
	/** What is harm to it. */
	readonly signals: readonly Signal[];
	/** Metrics whose values are scored user by user. */
	readonly scored: readonly string[];
	/** Nobody is served the candidate, and both are asked: what it answered is evidence of the candidate's arm. */
	readonly shadow?: true;
}

/** What the edge needs to read and attribute events. */
export interface Measured {
	readonly rollouts: readonly MeasuredRollout[];
	/** Flags whose outcomes are stored outside a rollout too. */
	readonly flags: readonly string[];
	/** The environment's own metrics. */
	readonly metrics: readonly MetricShape[];
}

export interface MeasuredRollout {
	readonly key: string;
	readonly flags: readonly string[];
	readonly served: number;
	readonly rings?: readonly Ring[];
	readonly stage: number;
	readonly sinceMs: number;
	readonly before: ServedBefore | null;
	readonly retreats: boolean;
	readonly signals: readonly Signal[];
	readonly scored: readonly string[];
	readonly shadow?: true;
}

export interface EnvironmentState {
	readonly environment: string;
	readonly version: number;
	readonly publishedAtMs: number;
	readonly flags: readonly Flag[];
	/** `listed`: the segment's keys as packListed made them. */
	readonly segments: readonly { readonly segment: Segment; readonly listed: string }[];
	/** Flags that cannot be read: they resolve to PARSE_ERROR, each for itself. */
	readonly damaged: readonly string[];
	readonly rollouts: readonly LiveRollout[];
	readonly metrics: readonly MetricShape[];
	readonly gateway?: PackedGateway;
}

/** Stands for a flag or a segment that nobody can evaluate. */
const DAMAGED = "null";

/**
 * The same state always packs to the same bytes, so two publishers of one version write the same body. `compile` turns the
 * patterns of `matches` into tables; it throws for one that was not refused when it was written.
 */
export function pack(
	state: EnvironmentState,
	compile: (pattern: string) => PatternTable,
): { readonly firstLine: string; readonly body: string } {
	const header: SnapshotHeader = {
		schema: SCHEMA,
		environment: state.environment,
		version: state.version,
		publishedAtMs: state.publishedAtMs,
	};
	const rollouts = [...state.rollouts].sort((a, b) => compare(a.key, b.key));
	const measured: Measured = {
		rollouts: rollouts.map(
			({ key, flags, served, rings, numbered = rings, stage, sinceMs, before, retreats, signals, scored, shadow }) => ({
				key,
				flags: Object.keys(flags).sort(compare),
				served,
				...(numbered ? { rings: numbered } : {}),
				stage,
				sinceMs,
				before,
				retreats,
				signals,
				scored,
				...(shadow ? { shadow } : {}),
			}),
		),
		flags: state.flags.flatMap((flag) => (flag.measured ? flag.key : [])).sort(compare),
		metrics: state.metrics.map(({ key, kind }) => ({ key, kind })).sort((a, b) => compare(a.key, b.key)),
	};
	const lines: [string, string][] = state.flags.map((flag) => {
		const rollout = rollouts.find((each) => Object.hasOwn(each.flags, flag.key));
		return [flag.key, jsonOrDamaged(() => packFlag(flag, rollout, compile))];
	});
	for (const key of state.damaged) lines.push([key, DAMAGED]);
	for (const { segment, listed } of state.segments) {
		lines.push([segmentLine(segment.key), jsonOrDamaged(() => packSegment(segment, listed, compile))]);
		if (listed !== "") lines.push([listedLine(segment.key), listed]);
	}
	if (measured.rollouts.length + measured.flags.length + measured.metrics.length > 0) lines.push([MEASURED_LINE, JSON.stringify(measured)]);
	const { routes = [], protections = [] } = state.gateway ?? {};
	if (routes.length + protections.length > 0) {
		const sorted = <T extends { readonly key: string }>(all: readonly T[]): T[] => [...all].sort((a, b) => compare(a.key, b.key));
		lines.push([GATEWAY_LINE, JSON.stringify({ routes: sorted(routes), protections: sorted(protections) } satisfies PackedGateway)]);
	}
	lines.sort(([a], [b]) => compare(a, b));
	const firstLine = JSON.stringify(header);
	const hash = (key: string, json: string): string => hexOf(hashText(json, hashText(key, state.version)));
	const body = lines.map(([key, json]) => `${key}\t${hash(key, json)}\t${json}\n`).join("");
	return { firstLine, body: `${firstLine}\n${body}` };
}

/** One flag or segment that does not fit together must not keep the others from being published. */
function jsonOrDamaged(packed: () => PackedFlag | PackedSegment): string {
	try {
		return JSON.stringify(packed());
	} catch {
		return DAMAGED;
	}
}

function packSegment({ when }: Segment, listed: string, compile: (pattern: string) => PatternTable): PackedSegment {
	return { when: when && packCondition(when, compile), hasListed: listed !== "" };
}

export function packFlag(flag: Flag, rollout: LiveRollout | undefined, compile: (pattern: string) => PatternTable): PackedFlag {
	const names = Object.keys(flag.variants);
	const index = (name: string): number => {
		const at = names.indexOf(name);
		if (at < 0) throw new Error(`flag ${flag.key} has no variant ${name}`);
		return at;
	};
	const packServe = (serve: Serve): PackedServe => {
		if (typeof serve === "string") return index(serve);
		let below = 0;
		return serve.flatMap((part) => [(below += part.weight), index(part.variant)]);
	};
	const packed: PackedFlag = {
		type: flag.type,
		names,
		values: Object.values(flag.variants),
		enabled: flag.enabled,
		off: index(flag.offVariant),
		...(flag.prerequisites.length > 0 ? { prerequisites: flag.prerequisites } : {}),
		...(flag.targets.length > 0
			? { targets: Object.fromEntries(flag.targets.flatMap(({ variant, keys }) => keys.map((key) => [key, index(variant)]))) }
			: {}),
		rules: flag.rules.map(({ id, when, serve }) => ({ id, when: packCondition(when, compile), serve: packServe(serve) })),
		fallthrough: packServe(flag.fallthrough),
		seed: seedOf(flag.salt),
		...(flag.bucketBy === "targetingKey" ? {} : { bucketBy: flag.bucketBy }),
		...(flag.public ? { public: true } : {}),
	};
	if (!rollout) return packed;
	if (typeof packed.fallthrough !== "number")
		throw new Error(`flag ${flag.key} splits its fallthrough, so rollout ${rollout.key} has no baseline`);
	const { key, served, rings, phase, excluded } = rollout;
	const candidate = index(rollout.flags[flag.key] ?? "");
	const isForAll = excluded.keys.length === 0 && excluded.segments.length === 0;
	const base = { key, seed: seedOf(key), served, ...(rings ? { rings } : {}), candidate, baseline: packed.fallthrough, phase };
	return { ...packed, rollout: isForAll ? base : { ...base, excluded } };
}

/** A percent with at most three decimals as buckets. */
export function bucketsOf(percent: number): number {
	return Math.round((percent * BUCKETS) / 100);
}

/** By UTF-16 unit, which for the ASCII keys is by byte, as the binary search of body.ts expects. */
function compare(a: string, b: string): number {
	return a < b ? -1 : a > b ? 1 : 0;
}
