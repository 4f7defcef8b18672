import { endOfLine, keysOf, lineOf } from "./body";
import { MEASURED_LINE, type MeasuredRollout, type PackedFlag, SCHEMA, type SnapshotHeader } from "./snapshot";

/** What an evaluation reads: parsed flags, whatever they were parsed from. */
export interface Ruleset {
	readonly version: number;
	flag(key: string): PackedFlag | "corrupt" | undefined;
}

/** An opened snapshot. A line is parsed when it is first asked for, so a cold isolate pays for what it uses. */
export interface Snapshot extends Ruleset {
	readonly header: SnapshotHeader;
	keys(): readonly string[];
	/** The live rollouts whose outcomes are stored; a damaged line measures nothing. */
	measured(): readonly MeasuredRollout[];
}

/** `decode` turns UTF-8 bytes into text. Throws when the first line is not a header of a known schema. */
export function openSnapshot(bytes: Uint8Array, decode: (bytes: Uint8Array) => string): Snapshot {
	const endOfHeader = endOfLine(bytes, 0);
	const header = JSON.parse(decode(bytes.subarray(0, endOfHeader))) as SnapshotHeader;
	if (header.schema !== SCHEMA) throw new Error(`snapshot schema ${String(header.schema)}, this edge reads ${SCHEMA}`);
	const start = endOfHeader + 1;
	const parsed = new Map<string, PackedFlag | "corrupt">();
	let keys: readonly string[] | undefined;
	let measured: readonly MeasuredRollout[] | undefined;

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
	return {
		header,
		version: header.version,
		flag(key) {
			const known = parsed.get(key);
			if (known !== undefined) return known;
			// Only flags' own lines: `!measured` is no flag, whoever asks for it. What is unknown is not remembered: a caller could fill the map.
			const found = key.startsWith("!") ? undefined : (read(key) as PackedFlag | "corrupt" | undefined);
			if (found !== undefined) parsed.set(key, found);
			return found;
		},
		keys: () => (keys ??= keysOf(bytes, start).filter((key) => key !== MEASURED_LINE)),
		measured() {
			if (measured === undefined) {
				const found = read(MEASURED_LINE);
				measured = Array.isArray(found) ? (found as readonly MeasuredRollout[]) : [];
			}
			return measured;
		},
	};
}
