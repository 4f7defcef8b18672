import { beforeAll, describe, expect, test } from "vitest";
import type { LiveState } from "../../../core/rollouts/state";
import { FIRST_LAUNCH, started } from "../../../core/rollouts/transitions";
import { type Outcome, type Population, Store, askedOf, randomOf, simulate } from "./simulation";
import { aPhase, aPlan } from "./fixtures";

const phases = [5, 20, 50, 100].map((percent) => aPhase({ percent, hold: "2m" }));
const plan = aPlan({ phases, red_flags: [] });
const SEEDS = 100;
const TICKS_MAX = 40;

function aPopulation(change: Partial<Population> = {}): Population {
	return { seed: 1, users: 8_000, visitors: [2_000, 2_000], requests: 5, errors: { candidate: 0.01, control: 0.01 }, ...change };
}

function outcomes(change: Partial<Population>): readonly Outcome[] {
	return Array.from({ length: SEEDS }, (_, i) => simulate(plan, aPopulation({ ...change, seed: i + 1 }), TICKS_MAX));
}

function shareOf(found: readonly Outcome[], status: Outcome["status"]): number {
	return found.filter((each) => each.status === status).length / found.length;
}

function quantile(values: readonly number[], p: number): number {
	return values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(p * values.length))] ?? Number.NaN;
}

describe("a healthy candidate", () => {
	let healthy: readonly Outcome[] = [];
	beforeAll(() => void (healthy = outcomes({})));

	test("completes within 40 ticks", () => {
		// Measured: 299 of 300, the last one within 48.
		expect(shareOf(healthy, "completed")).toBeGreaterThanOrEqual(0.98);
	});

	test("is hardly ever rolled back", () => {
		// At most 1.25 % for harm and as much for limits, over an endless rollout; measured: 0 of 300.
		expect(shareOf(healthy, "rolled_back")).toBeLessThanOrEqual(0.02);
	});

	test("takes as many ticks as its holds, and some more for evidence", () => {
		const ticks = healthy.filter(({ status }) => status === "completed").map((each) => each.ticks);
		expect(Math.min(...ticks)).toBeGreaterThanOrEqual(8);
		expect(quantile(ticks, 0.5)).toBeLessThanOrEqual(12);
		expect(quantile(ticks, 0.9)).toBeLessThanOrEqual(24);
	});
});

describe("a candidate whose errors are six times as many", () => {
	let harmful: readonly Outcome[] = [];
	beforeAll(() => void (harmful = outcomes({ visitors: [300, 500], errors: { candidate: 0.06, control: 0.01 } })));

	test("is always rolled back, at 5 or 20 %", () => {
		expect(shareOf(harmful, "rolled_back")).toBe(1);
		expect(Math.max(...harmful.map(({ served }) => served))).toBeLessThanOrEqual(20_000);
	});

	test("is rolled back by proof of harm, within minutes", () => {
		expect(new Set(harmful.map(({ reason }) => reason)).has("harm_proven")).toBe(true);
		const ticks = harmful.map((each) => each.ticks);
		expect(quantile(ticks, 0.5)).toBeLessThanOrEqual(4);
		expect(Math.max(...ticks)).toBeLessThanOrEqual(12);
	});
});

test("both arms failing alike is nobody's rollback", () => {
	const found = Array.from({ length: 20 }, (_, i) =>
		simulate(plan, aPopulation({ seed: i + 1, visitors: [300, 500], errors: { candidate: 0.06, control: 0.06 } }), 30),
	);
	expect(shareOf(found, "completed")).toBe(0);
	expect(shareOf(found, "rolled_back")).toBeLessThanOrEqual(0.05);
});

test("the same seed lives the same life, another one another", () => {
	expect(simulate(plan, aPopulation(), 12)).toEqual(simulate(plan, aPopulation(), 12));
	const [one, other] = [randomOf(1), randomOf(2)];
	expect(one()).not.toBe(other());
	// The generator's first numbers, so that figures can be reproduced elsewhere.
	const random = randomOf(1);
	expect([random(), random()].map((x) => x.toFixed(9))).toEqual(["0.627073941", "0.002735721"]);
});

describe("the store", () => {
	const harmed = 1;
	const asked = (stage: number) => ({ ...askedOf(plan, started(plan, FIRST_LAUNCH, 0), 1), stage });

	function aStore(users: number): Store {
		const store = new Store(users);
		store.ask(asked(1));
		return store;
	}

	test("counts a unit at its first harm, once", () => {
		const store = aStore(3);
		for (let i = 0; i < 3; i++) store.record(0, "control", 5_000, "error", harmed);
		store.record(1, "candidate", 5_000, "error", harmed);
		store.record(2, "control", 5_000, "error", 0);
		expect(store.read().firstHarms).toEqual([
			{ signal: "error", arm: "control", served: 5_000, lastControlServed: null, units: 1 },
			{ signal: "error", arm: "candidate", served: 5_000, lastControlServed: null, units: 1 },
		]);
		store.record(0, "control", 5_000, "error", harmed);
		expect(store.read().firstHarms).toEqual([]);
	});

	test("counts a unit of control again in a larger phase, and never after a harm in the candidate", () => {
		const store = aStore(2);
		store.record(0, "control", 5_000, "error", harmed);
		store.record(1, "control", 5_000, "error", harmed);
		store.read();
		store.record(0, "candidate", 20_000, "error", harmed);
		store.record(1, "control", 20_000, "error", harmed);
		expect(store.read().firstHarms).toEqual([
			{ signal: "error", arm: "candidate", served: 20_000, lastControlServed: 5_000, units: 1 },
			{ signal: "error", arm: "control", served: 20_000, lastControlServed: 5_000, units: 1 },
		]);
		store.record(0, "candidate", 50_000, "error", harmed);
		store.record(1, "candidate", 50_000, "error", harmed);
		expect(store.read().firstHarms).toEqual([{ signal: "error", arm: "candidate", served: 50_000, lastControlServed: 20_000, units: 1 }]);
	});

	test("sums by user and stage, and counts exposures once a rollout", () => {
		const store = aStore(2);
		for (const value of [harmed, 0, harmed]) store.record(0, "control", 5_000, "error", value);
		store.record(1, "control", 5_000, "error", 0);
		const { userSums, firstExposures, totals } = store.read();
		expect(userSums).toMatchObject([
			{
				signal: "error",
				metric: "error",
				arm: "control",
				harmedFirst: 1,
				users: { users: 2, harmedUsers: 1, requests: 4, harms: 2, harmsSquared: 4, harmsTimesRequests: 6, requestsSquared: 10 },
				means: { users: 2 },
				totals: { users: 2, sumOfMeans: 2, sumOfSquaredMeans: 4 },
			},
		]);
		expect(userSums[0]?.means.sumOfMeans).toBeCloseTo(2 / 3);
		expect(userSums[0]?.means.sumOfSquaredMeans).toBeCloseTo(4 / 9);
		expect(firstExposures).toEqual([{ arm: "control", served: 5_000, units: 2 }]);
		expect(totals).toEqual([{ metric: "error", arm: "control", requests: 4, sum: 2 }]);
		store.ask(asked(2));
		store.record(0, "candidate", 20_000, "error", 0);
		const later = store.read();
		expect(later.userSums).toMatchObject([{ arm: "candidate", users: { users: 1, requests: 1, harms: 0 } }]);
		expect(later.firstExposures).toEqual([]);
	});

	const guarded = aPlan({
		guards: ["latency_ms p95 vs control <= +20%"],
		red_flags: [],
		phases: [aPhase({ criteria: ["latency_ms p95 < 2500"] }), aPhase({ percent: 100 })],
	});
	const usual = { limit: 100, center: Math.log(50), spread: 0.5 };
	const warm = (): LiveState => {
		const state = started(guarded, FIRST_LAUNCH, 0);
		return { ...state, watch: { ...state.watch, guards: state.watch.guards.map((guard) => ({ ...guard, frozen: usual })) } };
	};
	const SLOW = "latency_ms p95 vs control +20%";

	function aLatencyStore(state: LiveState, users = 10): Store {
		const store = new Store(users);
		store.ask(askedOf(guarded, state, 1));
		return store;
	}

	test("takes percentiles by nearest rank among all requests of the stage", () => {
		const store = aLatencyStore(started(guarded, FIRST_LAUNCH, 0));
		for (let ms = 100; ms >= 1; ms--) store.record(ms % 10, "control", 5_000, "latency_ms", ms);
		expect(store.read().quantiles).toEqual([{ metric: "latency_ms", arm: "control", p50: 50, p75: 75, p90: 90, p95: 95, p99: 99 }]);
		for (let ms = 101; ms <= 200; ms++) store.record(ms % 10, "control", 5_000, "latency_ms", ms);
		expect(store.read().quantiles).toMatchObject([{ p50: 100, p95: 190 }]);
		store.ask({ ...askedOf(guarded, started(guarded, FIRST_LAUNCH, 0), 2), stage: 2 });
		store.record(0, "control", 5_000, "latency_ms", 7);
		expect(store.read().quantiles).toMatchObject([{ p50: 7, p99: 7 }]);
	});

	test("tells harm by signal and arm: nothing by a comparison before its warm-up ends, and the margin is the candidate's", () => {
		const before = aLatencyStore(started(guarded, FIRST_LAUNCH, 0));
		before.record(0, "control", 5_000, "latency_ms", 9_000);
		expect(before.read().firstHarms.map(({ signal }) => signal)).toEqual(["latency_ms>2500"]);
		const after = aLatencyStore(warm());
		for (const [user, arm] of [
			[0, "control"],
			[1, "candidate"],
		] as const)
			after.record(user, arm, 5_000, "latency_ms", 110);
		after.record(2, "candidate", 5_000, "latency_ms", 121);
		expect(after.read().firstHarms.map(({ signal, arm }) => [signal, arm])).toEqual([
			[SLOW, "control"],
			[SLOW, "candidate"],
		]);
	});

	test("sums each signal by itself over the same requests, with their logarithms", () => {
		const store = aLatencyStore(warm());
		for (const ms of [50, 150, 3_000]) store.record(0, "control", 5_000, "latency_ms", ms);
		const { userSums } = store.read();
		expect(userSums.map(({ signal, users }) => [signal, users.requests, users.harms])).toEqual([
			[SLOW, 3, 2],
			["latency_ms>2500", 3, 1],
		]);
		expect(userSums[0]?.logs.sumOfMeans).toBeCloseTo((Math.log(50) + Math.log(150) + Math.log(3_000)) / 3);
		expect(userSums[0]).toMatchObject({ means: { sumOfMeans: 3_200 / 3 }, totals: { sumOfMeans: 3_200 } });
	});

	test("scores a user with the tenth request, once, and none before the warm-up's end", () => {
		const early = aLatencyStore(started(guarded, FIRST_LAUNCH, 0));
		for (let i = 0; i < 20; i++) early.record(0, "control", 5_000, "latency_ms", 50);
		expect(early.read().scored).toEqual([]);
		const store = aLatencyStore(warm());
		for (let i = 0; i < 9; i++) store.record(0, "control", 5_000, "latency_ms", 100);
		expect(store.read().scored).toEqual([]);
		store.record(0, "control", 5_000, "latency_ms", 100);
		// ln 2 over twice the spread is 0.69, towards zero to a twentieth.
		expect(store.read().scored).toEqual([{ signal: SLOW, arm: "control", served: 5_000, score: 0.65, units: 1 }]);
		for (let i = 0; i < 20; i++) store.record(0, "control", 5_000, "latency_ms", 9_000);
		expect(store.read().scored).toEqual([]);
	});

	test("scores a user after an hour with what there is, the candidate's less its margin", () => {
		const store = aLatencyStore(warm());
		const at = (minute: number) => store.ask(askedOf(guarded, warm(), minute));
		store.record(0, "candidate", 5_000, "latency_ms", 120);
		store.record(1, "control", 5_000, "latency_ms", 120);
		at(60);
		store.record(1, "control", 5_000, "latency_ms", 120);
		expect(store.read().scored).toEqual([]);
		at(61);
		expect(store.read().scored).toEqual([
			{ signal: SLOW, arm: "candidate", served: 5_000, score: 0.65, units: 1 },
			{ signal: SLOW, arm: "control", served: 5_000, score: 0.85, units: 1 },
		]);
		at(200);
		expect(store.read().scored).toEqual([]);
	});
});
