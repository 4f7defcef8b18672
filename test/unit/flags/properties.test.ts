import * as fc from "fast-check";
import { expect, test, vi } from "vitest";
import { type Attribution, attribute } from "../../../core/flags/attribution";
import { BUCKETS } from "../../../core/flags/bucket";
import { type Resolution, evaluate } from "../../../core/flags/evaluate";
import { explain } from "../../../core/flags/explain";
import type { Context } from "../../../core/flags/match";
import { NO_OVERLAY, type Overlay, unite } from "../../../core/flags/overlay";
import type { Flag } from "../../../core/flags/model";
import { type TestEnvironment, aRollout, open, rulesetOf } from "./fixtures";
import { aContext, someEnvironment } from "./random";
import { type Answer, answerOf } from "./reference";

/** Scenes are large, and drawing them takes most of the time. */
vi.setConfig({ testTimeout: 30_000 });

const HOSTILE = ["__proto__", "constructor", "toString", "!measured", "$friends", "$friends#", "", "\t", "checkout\t", "🌊"];

interface Scene {
	readonly state: TestEnvironment;
	readonly overlay: Overlay;
	readonly context: Context;
}

const aScene: fc.Arbitrary<Scene> = someEnvironment.chain((state) =>
	fc.record({
		state: fc.constant(state),
		overlay: fc.record({
			kill: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, fc.subarray(state.flags.map(({ key }) => key))),
			baseline: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, fc.subarray(state.rollouts.map(({ key }) => key))),
		}),
		context: aContext,
	}),
);

const active = (overlay: Overlay) => unite({ head: overlay });

/** Without the snapshot's version, which the reference does not know. */
function plain(resolution: Resolution): Answer {
	if (resolution.reason === "ERROR") return { errorCode: resolution.errorCode };
	const { snapshot: _, ...metadata } = resolution.metadata;
	return { value: resolution.value, variant: resolution.variant, reason: resolution.reason, metadata };
}

function everyScene(check: (scene: Scene) => void, numRuns = 400): void {
	fc.assert(fc.property(aScene, check), { numRuns });
}

test("any flag in any context resolves as the reference does, which reads the authoring form", () => {
	everyScene(({ state, overlay, context }) => {
		const snapshot = open(state);
		for (const { key } of state.flags)
			expect(plain(evaluate(snapshot, active(overlay), key, context)), key).toEqual(answerOf({ ...state, overlay }, key, context).answer);
	}, 1_500);
});

test("random scenes reach every way to end, so the laws here are not empty", () => {
	const ends = new Set<string>();
	for (const { state, overlay, context } of fc.sample(aScene, { numRuns: 1_500, seed: 1 }))
		for (const { key } of state.flags) {
			const resolution = evaluate(rulesetOf(state), active(overlay), key, context);
			const { snapshot: _, ...metadata } = resolution.metadata;
			ends.add([resolution.reason === "ERROR" ? resolution.errorCode : resolution.reason, ...Object.keys(metadata).sort()].join(" "));
		}
	expect([...ends].sort()).toEqual([
		"DEFAULT",
		"DEFAULT excluded rollout",
		"DEFAULT noKey",
		"DEFAULT noKey rollout",
		"DEFAULT overlay rollout",
		"DISABLED",
		"DISABLED overlay",
		"DISABLED prerequisite",
		"PARSE_ERROR",
		"SPLIT bucket",
		"SPLIT bucket phase rollout",
		"SPLIT bucket rule",
		"STATIC",
		"TARGETING_MATCH rule",
		"TARGETING_MATCH target",
	]);
});

test("an opened snapshot evaluates as what was packed into it", () => {
	everyScene(({ state, overlay, context }) => {
		const [snapshot, direct] = [open(state), rulesetOf(state)];
		expect(snapshot.keys().toSorted()).toEqual(state.flags.map(({ key }) => key).toSorted());
		for (const key of [...snapshot.keys(), ...HOSTILE])
			expect(evaluate(snapshot, active(overlay), key, context)).toEqual(evaluate(direct, active(overlay), key, context));
	});
});

test("every flag has one of its own variants for every context, or a coded error, and nothing throws", () => {
	const anyContext = fc.oneof(
		aContext,
		fc.dictionary(fc.oneof(fc.string(), fc.constantFrom(...HOSTILE, "targetingKey", "country", "age")), fc.anything()),
	);
	fc.assert(
		fc.property(aScene, anyContext, fc.oneof(fc.string(), fc.constantFrom(...HOSTILE)), ({ state, overlay }, context, anyKey) => {
			const snapshot = open(state);
			for (const key of [...snapshot.keys(), anyKey]) {
				const resolution = evaluate(snapshot, active(overlay), key, context);
				const flag = state.flags.find((each) => each.key === key);
				expect(resolution.reason === "ERROR" && resolution.errorCode === "FLAG_NOT_FOUND").toBe(!flag);
				if (resolution.reason === "ERROR") continue;
				expect(Object.hasOwn(flag?.variants ?? {}, resolution.variant)).toBe(true);
				expect(resolution.value).toEqual(flag?.variants[resolution.variant]);
			}
		}),
		{ numRuns: 400 },
	);
});

/** What the last step must name. */
function decider({ reason, metadata }: Resolution, key: string): readonly string[] {
	const { rule, prerequisite, rollout, overlay, bucket } = metadata;
	const shown = bucket === undefined ? [] : [`bucket ${bucket} of ${BUCKETS}`];
	if (prerequisite !== undefined) return [`prerequisite ${prerequisite} is not met`];
	if (rule !== undefined) return [`rule "${rule}"`, ...shown];
	if (rollout !== undefined) return [`rollout ${rollout}`, ...shown, ...(overlay ? [`by ${overlay}`] : [])];
	if (overlay !== undefined) return [`killed by ${overlay}`];
	if (reason === "ERROR") return [key];
	return shown;
}

test("an explanation is the evaluation's own answer, and its last step names what decided", () => {
	everyScene(({ state, overlay, context }) => {
		const snapshot = open(state);
		for (const key of [...snapshot.keys(), "unknown"]) {
			const { resolution, steps } = explain(snapshot, active(overlay), key, context);
			expect(resolution).toEqual(evaluate(snapshot, active(overlay), key, context));
			const last = steps.at(-1) ?? "";
			for (const part of decider(resolution, key)) expect(last).toContain(part);
			if ("variant" in resolution) expect(last).toContain(`serves "${resolution.variant}"`);
			if (resolution.metadata.rule !== undefined) expect(steps).toContain(`rule "${resolution.metadata.rule}" matches`);
			const { prerequisite } = resolution.metadata;
			if (prerequisite !== undefined) expect(steps.at(-2)).toMatch(/^prerequisite .*: not as required$/);
		}
	});
});

test("being watched changes no answer", () => {
	everyScene(({ state, overlay, context }) => {
		const snapshot = open(state);
		for (const key of snapshot.keys()) {
			const nothing = (): void => undefined;
			const walk = { isIncomplete: false, step: nothing, rule: nothing, prerequisite: nothing };
			expect(evaluate(snapshot, active(overlay), key, context, walk)).toEqual(evaluate(snapshot, active(overlay), key, context));
		}
	});
});

test("an overlay only ever moves users to the off variant or to the baseline, unless it moved a prerequisite", () => {
	everyScene(({ state, overlay, context }) => {
		const snapshot = open(state);
		const before = (key: string) => evaluate(snapshot, NO_OVERLAY, key, context);
		const after = (key: string) => evaluate(snapshot, active(overlay), key, context);
		const variantOf = (resolution: Resolution) => ("variant" in resolution ? resolution.variant : resolution.errorCode);
		for (const { key, offVariant, fallthrough, prerequisites } of state.flags) {
			const [one, other] = [variantOf(before(key)), variantOf(after(key))];
			if (one === other) continue;
			// A killed prerequisite is never met, so its kill takes this flag's users to the off variant too.
			if (!overlay.kill.includes(key) && prerequisites.some(({ flag }) => after(flag).reason === "DISABLED")) {
				expect(other).toBe(offVariant);
				continue;
			}
			if (prerequisites.some(({ flag }) => variantOf(before(flag)) !== variantOf(after(flag)))) continue;
			expect(other).toBe(overlay.kill.includes(key) ? offVariant : fallthrough);
		}
	});
});

test("raising a rollout's share only ever adds candidates", () => {
	const aShare = fc.integer({ min: 0, max: BUCKETS });
	fc.assert(
		fc.property(aScene, aShare, aShare, ({ state, context }, one, other) => {
			const at = (served: number) => open({ ...state, rollouts: state.rollouts.map((rollout) => ({ ...rollout, served })) });
			const [less, more] = [at(Math.min(one, other)), at(Math.max(one, other))];
			for (const { key, prerequisites } of state.flags) {
				if (prerequisites.length > 0) continue;
				const [before, after] = [evaluate(less, NO_OVERLAY, key, context), evaluate(more, NO_OVERLAY, key, context)];
				const { rollout, bucket } = before.metadata;
				if (rollout === undefined || bucket === undefined || bucket >= Math.min(one, other))
					expect(after.metadata).toEqual(before.metadata);
				else expect(after).toEqual(before);
			}
		}),
		{ numRuns: 400 },
	);
});

/** By the reference: what one flag says about where its user is. */
function placeOf({ state, overlay, context }: Scene, flag: Flag): Omit<Attribution, "by"> | undefined {
	const { answer, lacked } = answerOf({ ...state, overlay }, flag.key, context);
	if (!("metadata" in answer)) return undefined;
	const { bucket, rollout: key } = answer.metadata;
	const { variant } = answer;
	const rollout = state.rollouts.find((each) => each.key === key);
	const bucketed = Object.entries(context).find(([name]) => name === flag.bucketBy)?.[1];
	const isId = flag.bucketBy !== "targetingKey" && Number.isSafeInteger(bucketed);
	const unit = typeof bucketed === "string" || isId ? String(bucketed) : "";
	if (!rollout || typeof bucket !== "number")
		return flag.measured ? { rollout: "", stage: 0, served: 0, arm: "outside", flag: flag.key, variant, unit } : undefined;
	const { stage, served } = rollout;
	if (lacked) return { rollout: rollout.key, stage, served, arm: "unattributed", flag: "", variant: "", unit: "" };
	return { rollout: rollout.key, stage, served, arm: bucket < served ? "candidate" : "control", flag: flag.key, variant, unit };
}

test("an event is unattributed exactly when a condition on the way to the rollout lacked its attribute", () => {
	const arms = new Set<string>();
	everyScene((scene) => {
		const snapshot = open(scene.state);
		for (const flag of scene.state.flags) {
			const expected = placeOf(scene, flag);
			const by = snapshot.measured().rollouts.find(({ key }) => key === expected?.rollout);
			const event = { flag: flag.key, context: scene.context, atMs: aRollout().sinceMs };
			const found = attribute(snapshot, active(scene.overlay), event);
			expect(found, flag.key).toEqual(expected ? [{ ...expected, by }] : []);
			arms.add(found[0]?.arm ?? "none");
		}
	}, 1_000);
	expect([...arms].sort()).toEqual(["candidate", "control", "none", "outside", "unattributed"]);
});

test("an event that names no flag counts once a rollout and once a measured flag, wherever the flags that it could name are", () => {
	everyScene((scene) => {
		const snapshot = open(scene.state);
		const { overlay, context, state } = scene;
		const found = attribute(snapshot, active(overlay), { flag: undefined, context, atMs: aRollout().sinceMs });
		const places = state.flags.flatMap((flag) => placeOf(scene, flag) ?? []);
		const rollouts = new Set(places.flatMap(({ arm, rollout }) => (arm === "outside" ? [] : rollout)));
		const inRollouts = found.filter(({ arm }) => arm !== "outside");
		expect(inRollouts.map(({ rollout }) => rollout).sort()).toEqual([...rollouts].sort());
		// It is no evidence only where none of the flags is.
		for (const { rollout, arm } of inRollouts) {
			const ofRollout = places.filter((place) => place.rollout === rollout);
			expect(arm === "unattributed").toBe(ofRollout.every((place) => place.arm === "unattributed"));
		}
		const outside = places.filter(({ arm }) => arm === "outside").map((place) => ({ ...place, by: undefined }));
		const byFlag = (one: { readonly flag: string }, other: { readonly flag: string }): number => (one.flag < other.flag ? -1 : 1);
		expect(found.filter(({ arm }) => arm === "outside")).toEqual(outside.toSorted(byFlag));
	}, 1_000);
});
