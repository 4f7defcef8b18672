import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test } from "vitest";
import { liveRollout } from "../../../../core/rollouts/exposure";
import { completePlan, plan as writtenPlan } from "../../../../core/rollouts/writtenPlan";
import type { Point } from "../../../../core/telemetry";
import { recordPoints } from "../../../../control/metrics/embedded";
import type { StoredRollout } from "../../../../control/store/rollouts";
import { tick } from "../../../../control/tick/tick";
import { MINUTE_MS, START_MS, aTick, current, started } from "./fixtures";

/** What the edge stores while answers are compared: nobody is served the candidate, and both arms are heard of. */

const written = (change: object = {}) =>
	writtenPlan.parse({
		rollout: "any",
		environment: "production",
		strategy: "compare-first",
		flags: ["any"],
		compare: { hold: "2m", ...change },
		phases: [
			{ name: "live", percent: 50, hold: "2m", criteria: ["error_rate < 3%"] },
			{ percent: 100, hold: "2m", criteria: ["error_rate < 3%"] },
		],
		guards: ["error_rate vs control <= +25%", "latency_ms p95 vs control <= +20%"],
	});

async function comparing(name: string, change: object = {}): Promise<StoredRollout> {
	const { plan, errors } = completePlan(written(change), []);
	expect(errors).toEqual([]);
	if (!plan) throw new Error("no plan");
	return started(name, { ...plan, rollout: name, flags: [name] });
}

type Outcome = readonly [metric: string, value: number, harms: Point["harms"]];

async function report(row: StoredRollout, arm: Point["arm"], outcomesOf: (i: number) => readonly Outcome[], users = 400): Promise<void> {
	const { state } = row;
	if (state.status !== "running") throw new Error(`${row.id} is ${state.status}`);
	const points = Array.from({ length: users }, (_, i) =>
		outcomesOf(i).map(([metric, value, harms]): Point => ({
			id: null,
			rollout: row.id,
			stage: state.stage,
			served: 0,
			arm,
			flag: row.plan.flags[0] ?? "",
			variant: String(arm === "candidate"),
			metric,
			// Both arms are the same users.
			unit: `u${i}`,
			value,
			harms,
			scored: false,
			first: true,
		})),
	).flat();
	await recordPoints(env.DB, row.environment, points, Date.now());
}

const DISCREPANCY = [{ signal: "discrepancy", slot: 0 }];
const healthy = (): readonly Outcome[] => [
	["error", 0, []],
	["latency_ms", 20, []],
];
const alike = (): readonly Outcome[] => [...healthy(), ["discrepancy", 0, []]];

async function minutes(id: string, count: number, told: (row: StoredRollout) => Promise<void>): Promise<StoredRollout> {
	for (let minute = 1; minute <= count; minute++) {
		// oxlint-disable-next-line no-await-in-loop -- as time goes by
		await told(await current(id));
		// oxlint-disable-next-line no-await-in-loop -- see above
		await tick(aTick(), START_MS + minute * MINUTE_MS);
	}
	return current(id);
}

const both = async (row: StoredRollout): Promise<void> => {
	await report(row, "control", healthy);
	await report(row, "candidate", alike);
};

// Each test begins at the same time.
beforeEach(() => env.DB.prepare("UPDATE head SET last_tick_ms = 0").run());

describe("a plan that compares first", () => {
	test("goes live once its answers were alike for as long as it says, though nobody was served", async () => {
		const { id, plan, state } = await comparing("compare-alike");
		expect(liveRollout(id, plan, state)).toMatchObject({ shadow: true, served: 0, phase: "compare" });
		const after = await minutes(id, 3, both);
		expect(after.state).toMatchObject({ status: "running", phase: 1 });
		expect(liveRollout(id, plan, after.state)).not.toHaveProperty("shadow");
	});

	test("does not go live while outcomes do not arrive, which is told once, and goes on when they do", async () => {
		const { id } = await comparing("compare-lost");
		const losing = async (row: StoredRollout): Promise<void> => {
			await both(row);
			const [environment, stage] = [row.environment, "stage" in row.state ? row.state.stage : 0];
			const nobody = { arm: "unattributed", flag: "", variant: "", unit: "" } as const;
			const lost: Point = {
				id: null,
				rollout: id,
				stage,
				served: 0,
				...nobody,
				metric: "lost",
				value: 500,
				harms: [],
				scored: false,
				first: true,
			};
			await recordPoints(env.DB, environment, [lost], Date.now());
		};
		expect((await minutes(id, 5, losing)).state).toMatchObject({ status: "running", phase: 0, watch: { heldMs: 0 } });
		const told = await env.DB.prepare("SELECT count(*) AS n FROM outbox WHERE type = 'alert.lost' AND payload LIKE ?")
			.bind(`%${id}%`)
			.first("n");
		expect(told).toBe(1);
		for (let minute = 6; minute <= 8; minute++) {
			// oxlint-disable-next-line no-await-in-loop -- as time goes by
			await both(await current(id));
			// oxlint-disable-next-line no-await-in-loop -- see above
			await tick(aTick(), START_MS + minute * MINUTE_MS);
		}
		expect((await current(id)).state).toMatchObject({ status: "running", phase: 1 });
	});

	test("makes no bet of its guards, and warms none up, where nobody is served", async () => {
		const { id, state } = await comparing("compare-guards");
		const failing = (): readonly Outcome[] => [
			["error", 1, [{ signal: "error", slot: 0 }]],
			["latency_ms", 2_000, []],
			["discrepancy", 0, []],
		];
		const after = await minutes(id, 1, async (row) => {
			await report(row, "control", healthy);
			await report(row, "candidate", failing);
		});
		if (!("watch" in after.state) || !("watch" in state)) throw new Error("not live");
		expect(after.state.watch.guards).toEqual(state.watch.guards);
		const found = await env.DB.prepare("SELECT judgement FROM health_checks WHERE rollout = ? ORDER BY at_ms DESC")
			.bind(id)
			.first<string>("judgement");
		const { verdicts } = JSON.parse(found ?? "{}") as { verdicts: { role: string; status: string; message: string }[] };
		for (const { status, message } of verdicts.filter(({ role }) => role === "guard"))
			expect([status, message]).toEqual(["not_applicable", "nobody is served the candidate: answers are compared"]);
	});

	test.each([
		["held by one discrepancy", 1, { status: "running", phase: 0 }],
		["rolled back by many", 40, { status: "rolled_back" }],
	])("is %s", async (_, differing, wanted) => {
		const { id } = await comparing(`compare-differing-${differing}`);
		const found = (i: number): readonly Outcome[] => [
			...healthy(),
			["discrepancy", Number(i < differing), i < differing ? DISCREPANCY : []],
		];
		const after = await minutes(id, 4, async (row) => {
			if (row.state.status === "rolled_back") return;
			await report(row, "control", healthy);
			await report(row, "candidate", found);
		});
		expect(after.state).toMatchObject(wanted);
	});

	test("is held where one of the two origins is not heard of", async () => {
		const { id } = await comparing("compare-silent");
		const after = await minutes(id, 4, (row) => report(row, "candidate", alike));
		expect(after.state).toMatchObject({ status: "running", phase: 0, watch: { heldMs: 0 } });
	});

	test("whose application compares needs nothing but what that found", async () => {
		const { id } = await comparing("compare-application", { by: "application" });
		const after = await minutes(id, 3, (row) => report(row, "candidate", () => [["discrepancy", 0, []]]));
		expect(after.state).toMatchObject({ status: "running", phase: 1 });
	});

	test("counts no user as harmed by what the candidate answered nobody: once live, the same users' harm is evidence", async () => {
		const { id } = await comparing("compare-then-harm", { criteria: ["discrepancy_rate <= 0%"] });
		const failed = (): readonly Outcome[] => [
			["error", 1, [{ signal: "error", slot: 0 }]],
			["discrepancy", 0, []],
		];
		const live = await minutes(id, 3, async (row) => {
			await report(row, "control", healthy);
			await report(row, "candidate", failed);
		});
		if (live.state.status !== "running") throw new Error(live.state.status);
		const { stage, phase } = live.state;
		expect(phase).toBe(1);
		const points = (["candidate", "control"] as const).flatMap((arm) =>
			Array.from({ length: 200 }, (_, i): Point => ({
				id: null,
				rollout: id,
				stage,
				served: 50_000,
				arm,
				flag: live.plan.flags[0] ?? "",
				variant: String(arm === "candidate"),
				metric: "error",
				unit: `u${i + (arm === "candidate" ? 0 : 200)}`,
				value: Number(arm === "candidate"),
				harms: arm === "candidate" ? [{ signal: "error", slot: 0 }] : [],
				scored: false,
				first: true,
			})),
		);
		await recordPoints(env.DB, "production", points, Date.now());
		await tick(aTick(), START_MS + 4 * MINUTE_MS);
		const events = await env.DB.prepare("SELECT reason FROM rollout_events WHERE rollout = ? ORDER BY revision DESC")
			.bind(id)
			.first<string>("reason");
		expect(events).toBe("harm_proven");
	});
});
