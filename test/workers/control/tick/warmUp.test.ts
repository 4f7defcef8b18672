import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { isLive } from "../../../../core/rollouts/state";
import type { Point } from "../../../../core/telemetry";
import { recordPoints } from "../../../../control/metrics/embedded";
import { stateOf } from "../../../../control/store/publication";
import { tick } from "../../../../control/tick/tick";
import { MINUTE_MS, START_MS, aTick, current, db, started } from "./fixtures";

const SIGNAL = "latency_ms p95 vs control +20%";

/** Ten requests of each user, from 91 to 100 ms in the control. */
async function latencies(rollout: string, users: { candidate: number; control: number }, change: Partial<Point> = {}, factor = 1) {
	const points = (["candidate", "control"] as const).flatMap((arm) =>
		Array.from({ length: users[arm] * 10 }, (_, i): Point => {
			const value = (91 + (i % 10)) * (arm === "candidate" ? factor : 1);
			const unit = `${change.flag ?? "u"}-${arm}-${Math.floor(i / 10)}`;
			const limit = arm === "candidate" ? 120 : 100;
			const harms = change.scored === true && value > limit ? [{ signal: SIGNAL, slot: 0 }] : [];
			const base = { id: null, rollout, stage: 1, served: 5_000, arm, variant: "", metric: "latency_ms", unit, value, harms };
			return { ...base, flag: "latent", scored: false, first: true, ...change };
		}),
	);
	await recordPoints(env.DB, "production", points, Date.now());
}

test("a percentile's guard warms up, tells the edges what is harm, and finds a slower candidate by its users' scores", async () => {
	const guards = ["latency_ms p95 vs control <= +20%"];
	const row = await started("latent", {
		guards,
		phases: [
			{ percent: 5, hold: "2h", criteria: [] },
			{ percent: 100, hold: "2m", criteria: [] },
		],
	});
	let now = START_MS;
	const next = () => tick(aTick(), (now += MINUTE_MS));
	const served = async () => (await stateOf(db, "production"))?.rollouts.find(({ key }) => key === row.id);
	expect(await served()).toMatchObject({ signals: [{ key: SIGNAL, slot: 0, harm: null }], scored: [] });

	await latencies(row.id, { candidate: 5, control: 99 });
	await next();
	const { version } = (await stateOf(db, "production")) ?? { version: 0 };
	expect((await served())?.signals[0]?.harm).toBeNull();

	await latencies(row.id, { candidate: 6, control: 120 });
	await next();
	const state = await stateOf(db, "production");
	expect(state?.version).toBe(version + 1);
	const harm = (await served())?.signals[0]?.harm;
	expect(harm?.control.value).toBeGreaterThan(99);
	expect(harm?.control.value).toBeLessThan(101.5);
	expect(harm?.candidate.value).toBeCloseTo(1.2 * (harm?.control.value ?? 0), 9);
	expect(await served()).toMatchObject({ scored: ["latency_ms"], stage: 2, before: { stage: 1, served: 5_000 } });
	// What was reported while nobody knew what is harm is no evidence that there is none.
	const begun = (await current(row.id)).state;
	expect(begun).toMatchObject({ status: "running", phase: 0, stage: 2, watch: { heldMs: 0 } });
	const { published } = (await env.DB.prepare("SELECT version AS published FROM environments WHERE name = 'production'").first<{
		published: number;
	}>()) ?? { published: 0 };
	expect(published).toBe(state?.version);

	for (let minute = 1; minute <= 12; minute++) {
		// oxlint-disable-next-line no-await-in-loop -- minute by minute
		await latencies(row.id, { candidate: 5, control: 95 }, { scored: true, stage: 2, flag: `m${minute}` }, 1.6);
		await next(); // oxlint-disable-line no-await-in-loop -- minute by minute
	}
	const ended = await current(row.id);
	expect(isLive(ended.state)).toBe(false);
	expect(ended.state).toMatchObject({ status: "rolled_back", reason: expect.stringContaining("latency_ms p95 vs control <= +20%") });
});
