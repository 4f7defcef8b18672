import { describe, expect, test } from "vitest";
import { command, printRefusal } from "../../../core/rollouts/command";
import { decide } from "../../../core/rollouts/decide";
import type { Change } from "../../../core/rollouts/decision";
import { liveRollout, servedBy } from "../../../core/rollouts/exposure";
import type { Plan } from "../../../core/rollouts/plan";
import { type LiveState, isLive, rolloutState } from "../../../core/rollouts/state";
import { type WayBackWanted, takeBack } from "../../../core/rollouts/takeBack";
import { FIRST_LAUNCH, lowered, resumed } from "../../../core/rollouts/transitions";
import { logEvidenceOf } from "../../../core/health/guard";
import { MINUTE_MS, NOW_MS, aGuardWatch, aPhase, aPlan, aState, anEvidence, betsOf, pausedState } from "./fixtures";

const BECAUSE = { reason: "operator", message: "it hurts", by: "anna", judgement: null } as const;
const full = (change: Parameters<typeof aState>[0] = {}, plan: Plan = aPlan()): LiveState =>
	aState({ phase: 2, stage: 3, before: { stage: 2, served: 20_000, sinceMs: 0 }, ...change }, plan);
const back = (wanted: WayBackWanted, state = full(), plan = aPlan()): Change => takeBack(plan, state, wanted, BECAUSE, NOW_MS);
const atOnce = { kind: "roll_back", strategy: "immediate", state: { status: "rolled_back", atMs: NOW_MS, by: "anna", reason: "it hurts" } };
const flags = ["checkout", "search", "cart"];
const three = aPlan({ flags });

describe("gradual", () => {
	test("the first stage is the first below what is served, and nobody is served more than it", () => {
		const change = back({ strategy: "gradual" });
		expect(change).toMatchObject({
			kind: "begin_rollback",
			strategy: "gradual",
			message: "it hurts; down from 100 % to 75 %, then 50, 25, 0 %, every 10m",
			state: { status: "rolling_back", stages: [50, 25, 0], lowered: { percent: 75, sinceMs: NOW_MS }, stage: 4, trigger: "operator" },
		});
		expect(servedBy(aPlan(), change.state as LiveState)).toBe(75_000);
	});

	test.each<[string, WayBackWanted, LiveState]>([
		["every stage but the last is at or above what is served", { strategy: "gradual" }, aState()],
		["its first stage is nobody", { strategy: "gradual", stages: [0] }, full()],
		["it has no stages", { strategy: "gradual", stages: [] }, full()],
		["its users went back by themselves already", { strategy: "gradual" }, full({ retreated: true })],
		["nobody is served yet", { strategy: "gradual" }, aState({ phase: -1 })],
	])("is immediate where %s", (_, wanted, state) => expect(back(wanted, state)).toMatchObject(atOnce));

	test("begins from a pause too, which is over then", () => {
		const { state } = back({ strategy: "gradual" }, pausedState({ phase: 2, stage: 3 }));
		expect(state).toMatchObject({ status: "rolling_back" });
		expect(state).not.toHaveProperty("pausedAtMs");
	});

	test("on the way back another one goes on from what is served still", () => {
		const { state } = back({ strategy: "gradual" });
		if (!isLive(state)) throw new Error(state.status);
		expect(back({ strategy: "gradual", stages: [90, 60, 0] }, state)).toMatchObject({ state: { lowered: { percent: 60 }, stages: [0] } });
	});

	test("each stage lasts, whatever is seen, and ends at nobody", () => {
		const plan = aPlan({ rollback: { strategy: "gradual", stages: [50, 10, 0], every: "5m" } });
		let state: LiveState = back({ strategy: "gradual" }, full({}, plan), plan).state as LiveState;
		const served: number[] = [];
		for (let minute = 1; minute <= 15; minute++) {
			const seen = minute % 2 === 0 ? anEvidence() : ({ kind: "source_error", message: "timeout" } as const);
			const decision = decide(plan, state, seen, NOW_MS + minute * MINUTE_MS);
			if (decision.kind === "none") throw new Error("none");
			served.push(isLive(decision.state) ? servedBy(plan, decision.state) : 0);
			if (!isLive(decision.state)) break;
			({ state } = decision);
		}
		expect(served).toEqual([50_000, 50_000, 50_000, 50_000, 10_000, 10_000, 10_000, 10_000, 10_000, 0]);
	});
});

describe("on the way back", () => {
	const plan = aPlan({ rollback: { strategy: "gradual" } });
	const goingBack = (change: Parameters<typeof aState>[0] = {}): LiveState =>
		lowered(plan, full(change, plan), [75, 50, 25, 0], NOW_MS - MINUTE_MS, { by: "tidegate", reason: "harm", trigger: "harm_proven" });

	test("what is known to be harm leads to nothing new: that is why it goes back", () => {
		expect(decide(plan, goingBack({ guard: { e: 81 } }), anEvidence(), NOW_MS)).toMatchObject({ kind: "hold", reason: "rolling_back" });
	});

	test("a red flag ends it at once, though harm was proven before", () => {
		const failing = anEvidence({ candidate: { harmedUsers: 200 } });
		expect(decide(plan, goingBack({ guard: { e: 81 } }), failing, NOW_MS)).toMatchObject({
			kind: "roll_back",
			strategy: "immediate",
			message: expect.stringContaining("error_rate > 10%: 20 % of requests") as string,
		});
	});

	test("harm that has tripled ends it at once", () => {
		const tripled = goingBack({ guard: { e: 81, triplingE: 81 } });
		expect(decide(plan, tripled, anEvidence(), NOW_MS)).toMatchObject({ kind: "roll_back", strategy: "immediate" });
	});

	test("a person may resume: the phase is one that serves no more, the evidence begins afresh at half the rate of false alarms", () => {
		const state = goingBack({ guard: { e: 81 } });
		const next = resumed(plan, state, NOW_MS);
		expect(next).toMatchObject({ status: "running", phase: 1, lowered: null, alpha: state.alpha / 2, stage: state.stage + 1 });
		expect(next).not.toHaveProperty("stages");
		expect(next.watch.guards.map(logEvidenceOf)).toEqual([expect.closeTo(0, 9)]);
		expect(servedBy(plan, next)).toBe(20_000);
	});

	describe("a person's resume raises nobody above what is served at that moment", () => {
		const resume = { kind: "resume", by: "anna", reason: "mended" } as const;
		const by = { by: "anna", reason: "slow", trigger: "operator" };
		const refused = { ok: false, error: { kind: "resume_refused", message: expect.stringContaining("25 % are served still") as string } };

		test("where every phase serves more it is refused, and says what to do", () => {
			const steep = aPlan({ phases: [aPhase({ percent: 50 }), aPhase({ percent: 100 })] });
			const result = command(steep, lowered(steep, aState({ phase: 1 }, steep), [25, 0], NOW_MS, by), resume, NOW_MS + 1);
			expect(result).toMatchObject(refused);
			expect(!result.ok && printRefusal(result.error)).toContain("create the plan again");
		});

		const ringed = (first: number): Plan =>
			aPlan({
				holdback: 0,
				phases: [
					aPhase({ percent: first, audience: "internal" }),
					aPhase({ percent: 50, audience: "beta" }),
					aPhase({ percent: 20 }),
					aPhase({ percent: 100 }),
				],
			});
		const ringsAfter = (of: Plan): ReturnType<typeof command> =>
			command(of, lowered(of, aState({ phase: 3 }, of), [25, 0], NOW_MS, by), resume, NOW_MS + 1);

		test("ring by ring, whatever the percent of the phase itself", () => {
			expect(ringsAfter(ringed(100))).toMatchObject(refused);
			expect(ringsAfter(ringed(10))).toMatchObject({ ok: true, value: { state: { status: "running", phase: 0 } } });
		});
	});

	test("what a percentile's guard has learnt is usual outlives a resumption, and its users are scored on", () => {
		const slow = aPlan({ guards: ["latency_ms p95 vs control <= +20%"] });
		const frozen = { limit: 800, center: 5.3, spread: 0.4 };
		const guards = [aGuardWatch({ harm: betsOf(30, 1), score: betsOf(200, 1), frozen })];
		const why = { by: "anna", reason: "slow", trigger: "operator" };
		const next = resumed(slow, lowered(slow, full({ watch: { guards } }, slow), [50, 0], NOW_MS, why), NOW_MS + 1);
		const [guard] = next.watch.guards;
		expect(guard?.frozen).toEqual(frozen);
		expect(guard?.score).not.toBeNull();
		expect(guard && logEvidenceOf(guard)).toBeCloseTo(0, 9);
	});
});

test("a red flag is a failure, whatever else is proven: everybody goes back at once, not step by step", () => {
	const plan = aPlan({ rollback: { strategy: "gradual" } });
	const failing = anEvidence({ candidate: { harmedUsers: 200 } });
	expect(decide(plan, full({ guard: { e: 81 } }, plan), anEvidence(), NOW_MS)).toMatchObject({ kind: "begin_rollback" });
	expect(decide(plan, full({ guard: { e: 81 } }, plan), failing, NOW_MS)).toMatchObject({
		kind: "roll_back",
		strategy: "immediate",
		judgement: { level: "failure" },
	});
});

describe("feature", () => {
	const drop = (wanted: readonly string[], state = full({}, three)): Change => back({ strategy: "feature", flags: wanted }, state, three);

	test("these flags go back, the others go on in the same phase, under a new stage", () => {
		const change = drop(["search"]);
		expect(change).toMatchObject({ kind: "drop_flags", message: "it hurts; search back on the baseline, the others go on" });
		expect(change.state).toMatchObject({ status: "running", phase: 2, stage: 4, dropped: ["search"] });
		expect(Object.keys(liveRollout("checkout.1", three, change.state)?.flags ?? {})).toEqual(["checkout", "cart"]);
	});

	test("a flag that is named twice is one flag", () => {
		expect(drop(["search", "search", "search"])).toMatchObject({ kind: "drop_flags", state: { dropped: ["search"] } });
	});

	test.each<[string, readonly string[], LiveState?]>([
		["all flags are named", flags],
		["none is named", []],
		["only flags of others are", ["banner"]],
		["only those that went back before are", ["search"], full({ dropped: ["search"] }, three)],
		["the last one that is left is", ["cart"], full({ dropped: ["search", "checkout"] }, three)],
	])("is immediate where %s", (_, wanted, state) => expect(drop(wanted, state)).toMatchObject(atOnce));

	test.each<LiveState>([pausedState(), full({}, three)])("leaves the rollout $status", (state) => {
		expect(drop(["search"], state).state.status).toBe(state.status);
	});
});

describe("feature, by the plan", () => {
	const plan = aPlan({
		flags,
		guards: [{ guard: "error_rate vs control <= +25%", flag: "search" }, "error_rate vs control <= +25%"],
		rollback: { strategy: "feature" },
	});
	const judged = (ofSearch: number, ofAll: number, seen = anEvidence()) => {
		const guards = [aGuardWatch({ e: ofSearch }), aGuardWatch({ e: ofAll })];
		return decide(plan, full({ watch: { guards } }, plan), seen, NOW_MS);
	};

	test("only the flag whose own guard fired goes back", () => {
		expect(judged(200, 1)).toMatchObject({ kind: "drop_flags", reason: "harm_proven", state: { dropped: ["search"] } });
	});

	test("where everybody's guard fired too, everything goes back", () => {
		expect(judged(200, 200)).toMatchObject({ kind: "roll_back", strategy: "immediate" });
	});

	test("where a limit is breached too, everything goes back", () => {
		expect(judged(200, 1, anEvidence({ candidate: { users: 2_000, harmedUsers: 240 } }))).toMatchObject({ kind: "roll_back" });
	});

	test("what a flag showed that went back before is no evidence any more, though it counts among the guards", () => {
		const guards = [aGuardWatch({ e: 1e6, triplingE: 1e6 }), aGuardWatch({ e: 4 })];
		const decision = decide(plan, full({ dropped: ["search"], watch: { guards } }, plan), anEvidence(), NOW_MS);
		expect(decision).not.toMatchObject({ kind: "roll_back" });
		expect(decision).toMatchObject({
			judgement: { harm: { guards: 2, proven: false, tripled: false, e: expect.closeTo(2, 1) as number } },
		});
	});
});

describe("targeted", () => {
	const plan = aPlan({
		exclude: { keys: ["ann"], segments: [] },
		rollback: { strategy: "targeted", keys: ["bob"], segments: ["beta"] },
	});

	test("these users go back, the others go on; harm is counted afresh at half the rate of false alarms", () => {
		const state = full({ guard: { e: 81 } }, plan);
		const change = back({ strategy: "targeted" }, state, plan);
		expect(change).toMatchObject({ kind: "exclude", message: "it hurts; segment beta and 1 keys back on the baseline, the others go on" });
		expect(change.state).toMatchObject({ phase: 2, stage: 4, alpha: state.alpha / 2, excluded: { keys: ["bob"], segments: ["beta"] } });
		expect(liveRollout("checkout.1", plan, change.state)).toMatchObject({
			served: 95_000,
			excluded: { keys: ["ann", "bob"], segments: ["beta"] },
		});
		expect(decide(plan, change.state, anEvidence(), NOW_MS + MINUTE_MS)).not.toMatchObject({ kind: "roll_back" });
	});

	test("whoever names keys means these, and not the plan's segments besides", () => {
		expect(back({ strategy: "targeted", keys: ["carl"] }, full({}, plan), plan)).toMatchObject({
			state: { excluded: { keys: ["carl"], segments: [] } },
		});
	});

	test.each<[string, WayBackWanted, LiveState]>([
		["they went back before", { strategy: "targeted" }, full({ excluded: { keys: ["bob"], segments: ["beta"] } }, plan)],
		["the plan has excluded them from the start", { strategy: "targeted", keys: ["ann"] }, full({}, plan)],
		["nobody is named", { strategy: "targeted", keys: [], segments: [] }, full({}, plan)],
	])("is immediate where %s: it would help nobody", (_, wanted, state) => expect(back(wanted, state, plan)).toMatchObject(atOnce));

	test("harm that goes on without them takes everybody back", () => {
		const state = full({ guard: { e: 81 }, excluded: { keys: ["bob"], segments: ["beta"] } }, plan);
		expect(decide(plan, state, anEvidence(), NOW_MS)).toMatchObject({ kind: "roll_back", strategy: "immediate" });
	});

	test("what a percentile's guard has learnt is usual outlives it, and users are scored on", () => {
		const slow = aPlan({ guards: ["latency_ms p95 vs control <= +20%"] });
		const guards = [aGuardWatch({ harm: betsOf(1, 1), score: betsOf(9, 1), frozen: { limit: 800, center: 5.3, spread: 0.4 } })];
		const { state } = back({ strategy: "targeted", keys: ["bob"] }, full({ watch: { guards } }, slow), slow);
		expect((state as LiveState).watch.guards[0]?.score).not.toBeNull();
	});
});

describe("version", () => {
	const plan = aPlan({ flags, rollback: { strategy: "version", versions: { search: 2 } } });
	const versions = { checkout: 7, search: 5, cart: 3 };

	test("everybody goes back at once, and each flag gets the version before, or the plan's, or the one that is named", () => {
		expect(back({ strategy: "version", versions: { cart: 1 } }, full({ versions }, plan), plan)).toMatchObject({
			...atOnce,
			strategy: "version",
			restore: { checkout: 7, search: 2, cart: 1 },
		});
	});

	test("a flag that went back before is somebody else's by now, and so is one that never was the rollout's: they stay as they are", () => {
		const state = full({ versions, dropped: ["search"] }, plan);
		expect(back({ strategy: "version", versions: { banner: 1 } }, state, plan).restore).toEqual({ checkout: 7, cart: 3 });
	});
});

test("full is immediate here, and says that the whole environment follows", () => {
	expect(back({ strategy: "full" })).toMatchObject({ ...atOnce, strategy: "full" });
});

test.each<[WayBackWanted, Plan]>([
	[{ strategy: "immediate" }, aPlan()],
	[{ strategy: "gradual" }, aPlan()],
	[{ strategy: "feature", flags: ["search"] }, three],
	[{ strategy: "targeted", keys: ["bob"] }, aPlan()],
	[{ strategy: "version" }, aPlan()],
	[{ strategy: "full" }, aPlan()],
])("what %j leaves survives JSON and its schema", (wanted, plan) => {
	const { state } = back(wanted, full({}, plan), plan);
	expect(rolloutState.parse(JSON.parse(JSON.stringify(state)))).toEqual(state);
});

test("a person who names no way back means at once, whatever the plan's is", () => {
	const plan = aPlan({ rollback: { strategy: "gradual" } });
	const given = { kind: "roll_back", by: "anna", reason: "it hurts", launch: FIRST_LAUNCH.launch } as const;
	expect(command(plan, full({}, plan), given, NOW_MS)).toMatchObject({ ok: true, value: atOnce });
});
