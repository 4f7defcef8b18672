import { tableOf } from "../../../control/patterns/tables";
import { targetingKeyOf } from "../../../core/flags/bucketingKey";
import { packListed } from "../../../core/flags/listed";
import { matches } from "../../../core/flags/match";
import type { Flag } from "../../../core/flags/model";
import { type ActiveOverlay, NO_OVERLAY } from "../../../core/flags/overlay";
import { packCondition } from "../../../core/flags/packedCondition";
import { type Ruleset, type Snapshot, openSnapshot } from "../../../core/flags/ruleset";
import type { Segment } from "../../../core/flags/segment";
import { type EnvironmentState, type LiveRollout, pack, packFlag } from "../../../core/flags/snapshot";

/** Valid by default; a test changes one field. */
export function aFlag(change: Partial<Flag> = {}): Flag {
	return {
		key: "checkout",
		type: "boolean",
		variants: { true: true, false: false },
		enabled: true,
		offVariant: "false",
		prerequisites: [],
		targets: [],
		rules: [],
		fallthrough: "false",
		salt: "checkout",
		bucketBy: "targetingKey",
		public: false,
		measured: false,
		description: "",
		tags: [],
		owner: "",
		temporary: false,
		expiresAt: null,
		...change,
	};
}

export function aRule(change: Partial<Flag["rules"][number]> = {}): Flag["rules"][number] {
	return { id: "swiss", description: "", when: { attribute: "country", op: "in", values: ["CH"] }, serve: "true", ...change };
}

export function aRollout(change: Partial<LiveRollout> = {}): LiveRollout {
	return {
		key: "checkout.1",
		flags: { checkout: "true" },
		served: 5_000,
		phase: "phase_1",
		stage: 1,
		sinceMs: 1_000,
		before: null,
		excluded: { keys: [], segments: [] },
		retreats: false,
		signals: [],
		scored: [],
		...change,
	};
}

/** A packed segment that still knows its listed keys. */
export interface TestSegment {
	readonly segment: Segment;
	readonly listed: string;
	readonly keys: readonly string[];
}

export function aSegment({ keys = [], ...change }: Partial<Segment> & { readonly keys?: readonly string[] } = {}): TestSegment {
	return { segment: { key: "friends", description: "", when: null, ...change }, listed: packListed(keys), keys };
}

export interface TestEnvironment extends EnvironmentState {
	readonly segments: readonly TestSegment[];
}

export function anEnvironment(change: Partial<TestEnvironment> = {}): TestEnvironment {
	return {
		environment: "production",
		version: 7,
		publishedAtMs: 1_000,
		flags: [aFlag()],
		segments: [],
		damaged: [],
		rollouts: [],
		metrics: [],
		...change,
	};
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
export const encode = (text: string): Uint8Array => encoder.encode(text);
export const decode = (bytes: Uint8Array): string => decoder.decode(bytes);

export const bodyOf = (state: EnvironmentState): string => pack(state, tableOf).body;

export function open(state: EnvironmentState): Snapshot {
	return openSnapshot(encode(bodyOf(state)), decode);
}

/** The same state, neither written nor read: what evaluating a snapshot must agree with. */
export function rulesetOf(change: Partial<TestEnvironment>): Ruleset {
	const { version, flags, segments, rollouts } = anEnvironment(change);
	const packed = new Map(
		flags.map((flag) => {
			const rollout = rollouts.find((each) => Object.hasOwn(each.flags, flag.key));
			return [flag.key, packFlag(flag, rollout, tableOf)];
		}),
	);
	const ruleset: Ruleset = {
		version,
		flag: (key) => packed.get(key),
		begin: () => undefined,
		isMember(key, context, trace) {
			const found = segments.find(({ segment }) => segment.key === key);
			if (!found) throw new Error(`no segment ${key}`);
			const user = targetingKeyOf(context);
			if (user !== undefined && found.keys.includes(user)) return true;
			const { when } = found.segment;
			return when !== null && matches(packCondition(when, tableOf), context, ruleset, trace);
		},
	};
	return ruleset;
}

export function anOverlay(change: { readonly kill?: readonly string[]; readonly baseline?: readonly string[] }): ActiveOverlay {
	const named = (keys: readonly string[] = []) => new Map(keys.map((key) => [key, "head"]));
	return { ...NO_OVERLAY, kill: named(change.kill), baseline: named(change.baseline) };
}
