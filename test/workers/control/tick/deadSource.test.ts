import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { command } from "../../../../core/rollouts/command";
import { isLive } from "../../../../core/rollouts/state";
import { logEvidence } from "../../../../core/statistics/evidence";
import { embedded } from "../../../../control/metrics/embedded";
import type { MetricsSource } from "../../../../control/metrics/source";
import { commitChange } from "../../../../control/store/rolloutChanges";
import { tick } from "../../../../control/tick/tick";
import { HEALTHY, MINUTE_MS, START_MS, aTick, current, outcomes, started } from "./fixtures";

const dead = async (): Promise<never> => {
	throw new Error("no route");
};
const DEAD: MetricsSource = { ...embedded(env.DB), totals: dead, userSums: dead };

async function watchOf(id: string) {
	const { state } = await current(id);
	if (!isLive(state)) throw new Error(`${id} is ${state.status}`);
	return state.watch;
}
const alertsOf = async (id: string): Promise<string[]> =>
	(
		await env.DB.prepare("SELECT type FROM outbox WHERE subject = ?1 AND type NOT LIKE 'rollout.%' ORDER BY id")
			.bind(id)
			.all<{ type: string }>()
	).results.map(({ type }) => type);

test("a metric source that is dead for ten ticks pauses the rollout and pages; when it returns evidence goes on where it was", async () => {
	const row = await started("dead", {
		phases: [
			{ percent: 5, hold: "3d", criteria: [] },
			{ percent: 100, hold: "2m", criteria: [] },
		],
	});
	let now = START_MS;
	const next = (metrics?: MetricsSource) => tick(aTick(metrics ? { metrics } : {}), (now += MINUTE_MS));
	await outcomes(row, HEALTHY, "before");
	await next();
	const before = await watchOf(row.id);
	expect(before.guards[0]).toMatchObject({ units: 20, harmed: 1 });

	for (let i = 1; i <= 10; i++) {
		await outcomes(row, HEALTHY, `dead-${i}`); // oxlint-disable-line no-await-in-loop -- minute by minute
		await next(DEAD); // oxlint-disable-line no-await-in-loop -- minute by minute
	}
	const paused = await current(row.id);
	expect(paused.status).toBe("paused");
	expect(await alertsOf(row.id)).toEqual(["page.source_error"]);
	const during = await watchOf(row.id);
	expect(during.watermark).toBe(before.watermark);
	expect(during.guards).toEqual(before.guards);
	expect(during.failedReads).toBe(10);

	await next();
	const after = await watchOf(row.id);
	expect(after.failedReads).toBe(0);
	// Ten minutes of 20 first harms each, once.
	expect(after.guards[0]).toMatchObject({ units: 220, harmed: 11 });
	await next();
	expect((await watchOf(row.id)).guards[0]).toMatchObject({ units: 220, harmed: 11 });
	expect(Math.exp(logEvidence((await watchOf(row.id)).guards[0]?.harm ?? { toleratedRatio: 1, stakes: [], reserve: 0 }))).toBeLessThan(5);

	const resumable = await current(row.id);
	const resumed = command(resumable.plan, resumable.state, { kind: "resume", by: "anna", reason: "metrics are back", launch: 1 }, now);
	if (!resumed.ok) throw new Error(resumed.error.kind);
	const act = { actor: "anna", reason: "metrics are back", correlationId: "c", atMs: now };
	await commitChange(aTick().db, {
		row: resumable,
		change: resumed.value,
		act,
		realNow: now,
		evidence: null,
	});
	await outcomes(row, HEALTHY, "again");
	await next();
	expect((await watchOf(row.id)).guards[0]).toMatchObject({ units: 240, harmed: 12 });
	expect((await current(row.id)).status).toBe("running");
});
