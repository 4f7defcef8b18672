import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import type { Point } from "../../../../core/telemetry";
import { recordPoints } from "../../../../control/metrics/embedded";
import { latestCheck, type StoredRollout } from "../../../../control/store/rollouts";
import { stateOf } from "../../../../control/store/publication";
import { tick } from "../../../../control/tick/tick";
import { MINUTE_MS, START_MS, aTick, current, db, started } from "./fixtures";

let now = START_MS;
const next = () => tick(aTick(), (now += MINUTE_MS));

/** Half of the staff, half of those who test betas, everybody: each after two minutes with fifty users. */
const RINGS = {
	min_users: 50,
	guards: [],
	phases: [
		{ name: "internal", percent: 50, hold: "2m", audience: "internal", criteria: ["error_rate < 10%"] },
		{ name: "beta", percent: 50, hold: "2m", audience: "beta", criteria: ["error_rate < 10%"] },
		{ name: "production", percent: 100, hold: "2m", criteria: ["error_rate < 10%"] },
	],
};

/** So many users in each arm of a ring, one request each, of whom so many of the candidate's are harmed. */
async function outcomesIn({ id, state }: StoredRollout, ring: number, users: number, harmed: number, name: string): Promise<void> {
	if (state.status !== "running") throw new Error(`${id} is ${state.status}`);
	const points = (["candidate", "control"] as const).flatMap((arm) =>
		Array.from({ length: users }, (_, i): Point => {
			const isHarm = arm === "candidate" && i < harmed;
			return {
				id: null,
				rollout: id,
				stage: state.stage,
				served: 50_000,
				ring,
				arm,
				flag: "",
				variant: "",
				metric: "error",
				unit: `${ring}-${name}-${arm}-${i}`,
				value: Number(isHarm),
				harms: isHarm ? [{ signal: "error", slot: 0 }] : [],
				scored: false,
				first: true,
			};
		}),
	);
	await recordPoints(env.DB, "production", points, Date.now());
}

/** In its second ring, where both minutes of its hold have data of both. */
async function inBeta(name: string): Promise<StoredRollout> {
	const row = await started(name, RINGS);
	for (const minute of ["a", "b"]) {
		await outcomesIn(row, 1, 60, 0, minute); // oxlint-disable-line no-await-in-loop -- minute by minute
		await next(); // oxlint-disable-line no-await-in-loop -- minute by minute
	}
	const entered = await current(row.id);
	expect(entered.state).toMatchObject({ status: "running", phase: 1 });
	return entered;
}

test("a ring waits for its own users, however many the ring before has, and goes on with them", async () => {
	const row = await inBeta("own-users");
	expect((await stateOf(db, "production"))?.rollouts.find(({ key }) => key === row.id)?.numbered).toEqual([
		{ segment: "internal", served: 50_000, number: 1 },
		{ segment: "beta", served: 50_000, number: 2 },
	]);
	for (const minute of ["a", "b", "c"]) {
		// oxlint-disable-next-line no-await-in-loop -- minute by minute
		await Promise.all([outcomesIn(row, 1, 300, 0, minute), outcomesIn(row, 2, 2, 0, minute)]);
		await next(); // oxlint-disable-line no-await-in-loop -- minute by minute
	}
	expect(await latestCheck(db, row.id)).toMatchObject({ reason: "not_enough_users" });
	expect((await current(row.id)).state).toMatchObject({ phase: 1 });
	await outcomesIn(row, 2, 60, 0, "d");
	await next();
	expect((await current(row.id)).state).toMatchObject({ status: "running", phase: 2 });
});

test("a limit that the ring before breaches takes everybody back, though the newest keeps to it", async () => {
	const row = await inBeta("harm-before");
	await Promise.all([outcomesIn(row, 1, 600, 300, "a"), outcomesIn(row, 2, 60, 0, "a")]);
	await next();
	expect((await current(row.id)).state).toMatchObject({
		status: "rolled_back",
		reason: expect.stringContaining("error_rate < 10%") as string,
	});
});
