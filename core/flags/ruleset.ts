import type { PackedGateway } from "../gateway/packed";
import { type Routes, routesOf } from "../gateway/routes";
import { endOfLine, keysOf, lineOf } from "./body";
import { targetingKeyOf } from "./bucketingKey";
import { isListed } from "./listed";
import { sharing } from "./share";
import { type Context, type Segments, type Trace, matches } from "./match";
import {
	GATEWAY_LINE,
	MEASURED_LINE,
	type Measured,
	type MeasuredRollout,
	type PackedFlag,
	type PackedSegment,
	SCHEMA,
	type SnapshotHeader,
	listedLine,
	segmentLine,
} from "./snapshot";

/** What an evaluation reads: parsed flags and segments, whatever they were parsed from. */
export interface Ruleset extends Segments {
	readonly version: number;
	flag(key: string): PackedFlag | "corrupt" | undefined;
	/** An evaluation begins: what its segments cost is counted from here. */
	begin(): void;
}

/** An opened snapshot. A line is parsed when it is first asked for, so a cold isolate pays for what it uses. */
export interface Snapshot extends Ruleset {
	readonly header: SnapshotHeader;
	/** The flags' keys, in order. */
	keys(): readonly string[];
	/** All flags, in the order of keys(): parses what has not been parsed yet. */
	flags(): readonly (PackedFlag | "corrupt")[];
	/** The segments' keys, in order. */
	segments(): readonly string[];
	/** Whose outcomes are stored; a damaged line measures nothing. */
	measured(): Measured;
	/** Where the requests of its hosts go; a damaged line routes nothing. */
	gateway(): Routes;
}

const NO_GATEWAY: PackedGateway = { routes: [], protections: [] };
const NOTHING_MEASURED: Measured = { rollouts: [], flags: [], metrics: [] };

/** Before signals it was a list of rollouts: their outcomes are stored, and nothing of them is harm until the next publication. */
function readMeasured(found: unknown): Measured {
	if (!Array.isArray(found)) return found as Measured;
	return { ...NOTHING_MEASURED, rollouts: (found as MeasuredRollout[]).map((each) => ({ ...each, signals: [], scored: [] })) };
}

/** Segments may name segments; cycles are refused when they are written, and this ends one that was written otherwise. */
export const NESTING_MAX = 16;
/**
 * Of one evaluation, its prerequisites included: diamonds of segments multiply, and so do rules that name them. Beyond this,
 * some milliseconds, the flag is a PARSE_ERROR, not an isolate that hangs.
 */
const VISITS_MAX = 5_000;

/** `decode` turns UTF-8 bytes into text. Throws when the first line is not a header of a known schema. */
export function openSnapshot(bytes: Uint8Array, decode: (bytes: Uint8Array) => string): Snapshot {
	const endOfHeader = endOfLine(bytes, 0);
	const header = JSON.parse(decode(bytes.subarray(0, endOfHeader))) as SnapshotHeader;
	if (header.schema !== SCHEMA) throw new Error(`snapshot schema ${String(header.schema)}, this edge reads ${SCHEMA}`);
	const start = endOfHeader + 1;
	const flags = new Map<string, PackedFlag | "corrupt">();
	const segments = new Map<string, PackedSegment | "corrupt">();
	const listed = new Map<string, Uint8Array | "corrupt">();
	const allKeys = (): readonly string[] => keysOf(bytes, start, decode);
	let keys: readonly string[] | undefined;
	let everyFlag: readonly (PackedFlag | "corrupt")[] | undefined;
	let measured: Measured | undefined;
	let routes: Routes | undefined;
	let nesting = 0;
	let visits = 0;

	const read = (key: string): unknown => {
		const line = lineOf(bytes, start, key, header.version);
		if (line === undefined || line === "corrupt") return line;
		try {
			// null is what control writes for a flag that it could not read.
			return JSON.parse(decode(line)) ?? "corrupt";
		} catch {
			// The hash is right and the JSON is not: it was written so. The caller answers PARSE_ERROR for this flag alone.
			return "corrupt";
		}
	};
	const share = sharing();
	const segmentOf = (key: string): PackedSegment => {
		let segment = segments.get(key);
		if (!segment) segments.set(key, (segment = (read(segmentLine(key)) ?? "corrupt") as PackedSegment | "corrupt"));
		if (segment === "corrupt") throw new Error(`segment ${key} cannot be read`);
		return segment;
	};
	const listedOf = (key: string): Uint8Array => {
		let found = listed.get(key);
		if (!found) listed.set(key, (found = lineOf(bytes, start, listedLine(key), header.version) ?? "corrupt"));
		if (found === "corrupt") throw new Error(`the listed keys of segment ${key} cannot be read`);
		return found;
	};
	const snapshot: Snapshot = {
		header,
		version: header.version,
		flag(key) {
			const known = flags.get(key);
			if (known !== undefined) return known;
			// Only flags' own lines: `!measured` and `$segment` are no flags, whoever asks for them. What is unknown is not
			// remembered: a caller could fill the map.
			const found = key.startsWith("!") || key.startsWith("$") ? undefined : (read(key) as PackedFlag | "corrupt" | undefined);
			if (found !== undefined) flags.set(key, found === "corrupt" ? found : share(found));
			return found;
		},
		begin() {
			visits = 0;
		},
		isMember(key: string, context: Context, trace: Trace | undefined) {
			if (++visits > VISITS_MAX) throw new Error(`more than ${VISITS_MAX} segments are asked, the last is ${key}`);
			const segment = segmentOf(key);
			const user = segment.hasListed ? targetingKeyOf(context) : undefined;
			if (user !== undefined && isListed(listedOf(key), user)) return true;
			if (segment.when === null) return false;
			if (nesting === NESTING_MAX) throw new Error(`segment ${key} is nested more than ${NESTING_MAX} deep`);
			nesting++;
			try {
				return matches(segment.when, context, snapshot, trace);
			} finally {
				nesting--;
			}
		},
		keys: () => (keys ??= allKeys().filter((key) => !key.startsWith("!") && !key.startsWith("$"))),
		flags: () => (everyFlag ??= snapshot.keys().map((key) => snapshot.flag(key) ?? "corrupt")),
		segments: () =>
			allKeys()
				.filter((key) => key.startsWith("$") && !key.endsWith("#"))
				.map((key) => key.slice(1)),
		measured() {
			if (measured === undefined) {
				const found = read(MEASURED_LINE);
				measured = found === undefined || found === "corrupt" ? NOTHING_MEASURED : readMeasured(found);
			}
			return measured;
		},
		gateway() {
			if (routes === undefined) {
				const found = read(GATEWAY_LINE);
				routes = routesOf(found === undefined || found === "corrupt" ? NO_GATEWAY : (found as PackedGateway));
			}
			return routes;
		},
	};
	return snapshot;
}
