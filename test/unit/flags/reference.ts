import { isIP, isIPv6 } from "node:net";
import ipaddr from "ipaddr.js";
import { RE2JS } from "re2js";
import semver from "semver";
import type { Comparison, Condition } from "../../../core/flags/condition";
import type { Flag, FlagValue, Serve } from "../../../core/flags/model";
import type { Overlay } from "../../../core/flags/overlay";
import type { Segment } from "../../../core/flags/segment";
import type { LiveRollout } from "../../../core/flags/snapshot";
import { bigMurmur3 } from "./bigMurmur3";

/** Evaluation once more, read off the authoring form with other people's libraries: it shares no line with the code under test. */

export interface Written {
	readonly flags: readonly Flag[];
	readonly segments: readonly { readonly segment: Segment; readonly keys: readonly string[] }[];
	readonly rollouts: readonly LiveRollout[];
	readonly overlay: Overlay;
}

export type Answer =
	| { readonly errorCode: "FLAG_NOT_FOUND" | "PARSE_ERROR" }
	| {
			readonly value: FlagValue;
			readonly variant: string;
			readonly reason: string;
			readonly metadata: Readonly<Record<string, unknown>>;
	  };

type Given = Readonly<Record<string, unknown>>;

/** `lacked`: a comparison was made on the way whose attribute the context does not have. */
export function answerOf(written: Written, flagKey: string, context: Given): { readonly answer: Answer; readonly lacked: boolean } {
	let lacked = false;
	const attribute = (name: string): unknown => Object.entries(context).find(([key]) => key === name)?.[1] ?? undefined;
	const user = attribute("targetingKey");

	function isMember(key: string): boolean {
		const found = written.segments.find(({ segment }) => segment.key === key);
		if (!found) throw new Error("no such segment");
		if (typeof user === "string" && user !== "" && found.keys.includes(user)) return true;
		return found.segment.when !== null && holds(found.segment.when);
	}
	/** One that nobody can read excludes everybody. */
	function isAmongExcluded(key: string): boolean {
		try {
			return isMember(key);
		} catch {
			return true;
		}
	}
	function isInRing(key: string): boolean {
		try {
			return isMember(key);
		} catch {
			return false;
		}
	}
	function holds(tree: Condition): boolean {
		if ("segment" in tree) return isMember(tree.segment);
		if ("all" in tree) return tree.all.every(holds);
		if ("any" in tree) return tree.any.some(holds);
		if ("not" in tree) return !holds(tree.not);
		const found = attribute(tree.attribute);
		if (found === undefined) lacked = true;
		return found !== undefined && compares(tree, found);
	}
	function answer(key: string, depth: number): Answer {
		const flag = written.flags.find((each) => each.key === key);
		if (!flag) return { errorCode: "FLAG_NOT_FOUND" };
		try {
			if (depth > 10) throw new Error("prerequisites of prerequisites without end");
			return resolved(flag, depth);
		} catch {
			return { errorCode: "PARSE_ERROR" };
		}
	}
	function resolved(flag: Flag, depth: number): Answer {
		const rollout = written.rollouts.find(({ flags }) => Object.keys(flags).includes(flag.key));
		if (rollout && typeof flag.fallthrough !== "string") throw new Error("no baseline");
		const serve = (variant: string, reason: string, metadata: Record<string, unknown> = {}): Answer => {
			const value = flag.variants[variant];
			if (value === undefined) throw new Error("no such variant");
			return { value, variant, reason, metadata };
		};
		if (written.overlay.kill.includes(flag.key)) return serve(flag.offVariant, "DISABLED", { overlay: "head" });
		if (!flag.enabled) return serve(flag.offVariant, "DISABLED");
		for (const { flag: prerequisite, variants } of flag.prerequisites) {
			const other = answer(prerequisite, depth + 1);
			// One that is off is never met.
			if ("errorCode" in other || other.reason === "DISABLED" || !variants.includes(other.variant))
				return serve(flag.offVariant, "DISABLED", { prerequisite });
		}
		const target = flag.targets.find(({ keys }) => keys.some((key) => key === user));
		if (target) return serve(target.variant, "TARGETING_MATCH", { target: true });

		const by = attribute(flag.bucketBy);
		const isKey = (typeof by === "string" && by !== "") || (Number.isSafeInteger(by) && flag.bucketBy !== "targetingKey");
		const bucketIn = (salt: string): number => bucketOf(String(by), salt);
		for (const { id, when, serve: what } of flag.rules) {
			if (!holds(when)) continue;
			if (typeof what === "string") return serve(what, "TARGETING_MATCH", { rule: id });
			if (!isKey) continue;
			const bucket = bucketIn(flag.salt);
			return serve(partAt(what, bucket), "SPLIT", { rule: id, bucket });
		}
		if (rollout) {
			const baseline = flag.fallthrough as string;
			const { key, phase, served, excluded } = rollout;
			if (written.overlay.baseline.includes(key)) return serve(baseline, "DEFAULT", { rollout: key, overlay: "head" });
			const isExcluded = excluded.keys.some((each) => each === user) || excluded.segments.some(isAmongExcluded);
			if (isExcluded) return serve(baseline, "DEFAULT", { rollout: key, excluded: true });
			if (!isKey) return serve(baseline, "DEFAULT", { rollout: key, noKey: true });
			// As many as the best of its rings; one that nobody can read has nobody in it.
			const rings = rollout.rings?.filter(({ segment }) => segment === null || isInRing(segment));
			if (rings?.length === 0) return serve(baseline, "DEFAULT", { rollout: key, outside: true });
			const limit = rings ? Math.max(...rings.map((ring) => ring.served)) : served;
			const bucket = bucketIn(key);
			return serve(bucket < limit ? (rollout.flags[flag.key] ?? "") : baseline, "SPLIT", { rollout: key, phase, bucket });
		}
		if (typeof flag.fallthrough === "string") return serve(flag.fallthrough, flag.rules.length > 0 ? "DEFAULT" : "STATIC");
		if (!isKey) return serve(flag.offVariant, "DEFAULT", { noKey: true });
		const bucket = bucketIn(flag.salt);
		return serve(partAt(flag.fallthrough, bucket), "SPLIT", { bucket });
	}
	return { answer: answer(flagKey, 0), lacked };
}

const encoder = new TextEncoder();

/** TextEncoder writes lone surrogates as U+FFFD. */
export function bucketOf(key: string, salt: string): number {
	const seed = bigMurmur3(encoder.encode(salt), 0);
	return Number((BigInt(bigMurmur3(encoder.encode(key), seed)) * 100_000n) >> 32n);
}

function partAt(split: Exclude<Serve, string>, bucket: number): string {
	let left = bucket;
	for (const { variant, weight } of split) {
		if (left < weight) return variant;
		left -= weight;
	}
	throw new Error("the weights end early");
}

function compares({ op, values }: Comparison, found: unknown): boolean {
	const [first, second] = values;
	const isText = typeof found === "string";
	switch (op) {
		case "equals":
		case "in":
			return values.some((value) => value === found);
		case "not_in":
			return ["string", "number", "boolean"].includes(typeof found) && values.every((value) => value !== found);
		case "exists":
			return true;
		case "contains":
			return isText && values.some((value) => found.split(String(value)).length > 1);
		case "starts_with":
			return isText && values.some((value) => found.lastIndexOf(String(value), 0) === 0);
		case "ends_with":
			return isText && values.some((value) => found.slice(-String(value).length) === value);
		case "matches":
			return isText && values.some((value) => RE2JS.compile(String(value)).matcher(found.toWellFormed()).find());
		case "lt":
			return typeof found === "number" && found < Number(first);
		case "lte":
			return typeof found === "number" && found <= Number(first);
		case "gt":
			return typeof found === "number" && found > Number(first);
		case "gte":
			return typeof found === "number" && found >= Number(first);
		case "between":
			return typeof found === "number" && Number(first) <= found && found <= Number(second);
		case "before":
		case "after": {
			const [at, than] = [typeof found === "number" ? found : instantOf(found), instantOf(first)];
			return op === "before" ? at < than : at > than;
		}
		case "ip_in":
			return isText && values.some((value) => isInNetworkOf(found, String(value)));
		case "semver_equals":
		case "semver_lt":
		case "semver_lte":
		case "semver_gt":
		case "semver_gte": {
			// Unlike npm's parser, this one takes no blanks around a version.
			if (!isText || found !== found.trim() || !semver.valid(found)) return false;
			const is = { equals: semver.eq, lt: semver.lt, lte: semver.lte, gt: semver.gt, gte: semver.gte };
			return is[op.slice("semver_".length) as keyof typeof is](found, String(first));
		}
		default:
			// The table of cases may ask for an operator that nobody knows.
			throw new Error(`unknown operator ${String(op satisfies never)}`);
	}
}

/** By Date.parse, which knows neither leap seconds nor the 30th of February, and takes much that RFC 3339 does not. */
export function instantOf(value: unknown): number {
	const found = /^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}):(\d{2})(\.\d{1,9})?([Zz]|[+-][01]\d:[0-5]\d|[+-]2[0-3]:[0-5]\d)$/.exec(
		String(value),
	);
	if (!found || typeof value !== "string") return Number.NaN;
	const [, day = "", minute = "", second = "", fraction = "", zone = ""] = found;
	const midnight = new Date(`${day}T00:00:00Z`);
	const isDay = !Number.isNaN(midnight.getTime()) && midnight.toISOString().startsWith(day);
	if (!isDay || minute.startsWith("24")) return Number.NaN;
	const isLeap = second === "60";
	return Date.parse(`${day}T${minute}:${isLeap ? "59" : second}${fraction}${zone.toUpperCase()}`) + (isLeap ? 1_000 : 0);
}

export function isInNetworkOf(text: string, network: string): boolean {
	if (isIP(text) === 0 || text.includes("%")) return false;
	const [address = "", bits] = network.split("/");
	const [one, other] = [addressOf(text), addressOf(address)];
	if (one.kind() !== other.kind()) return false;
	const length = Number(bits ?? (other.kind() === "ipv4" ? 32 : 128));
	return one.match(other, length);
}

/** ipaddr.js takes ::10.0.0.1 for ::ffff:10.0.0.1; a URL writes it out first, as RFC 4291 has it. */
const addressOf = (text: string) => ipaddr.process(isIPv6(text) ? new URL(`http://[${text}]`).hostname.slice(1, -1) : text);
