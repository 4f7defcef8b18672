import { expect, test } from "vitest";
import { tick } from "../../../../control/tick/tick";
import { HEALTHY, MINUTE_MS, START_MS, aTick, outcomes, started } from "../tick/fixtures";
import { aFlag, createFlag, done } from "./harness";

interface Detail {
	readonly plan: { readonly metrics: readonly { readonly key: string }[] };
	readonly forecast: readonly { readonly riskRatio: number; readonly medianMinutes: number; readonly p80Minutes: number }[] | null;
	readonly health: { readonly message: string; readonly score: number | null };
}

test("a rollout says how long its phase would take to prove harm, and what it could not have proven yet", async () => {
	const row = await started("forecast", {
		phases: [
			{ percent: 5, hold: "1d", criteria: [] },
			{ percent: 100, hold: "1d", criteria: [] },
		],
	});
	const detail = () => done<Detail>("GET", `/api/v1/rollouts/${row.id}`);
	expect((await detail()).forecast).toBeNull();
	for (let minute = 1; minute <= 3; minute++) {
		await outcomes(row, HEALTHY, `m${minute}`); // oxlint-disable-line no-await-in-loop -- minute by minute
		await tick(aTick(), START_MS + minute * MINUTE_MS); // oxlint-disable-line no-await-in-loop -- minute by minute
	}
	const { forecast, health } = await detail();
	expect(forecast?.map(({ riskRatio }) => riskRatio)).toEqual([1.5, 2, 3, 10]);
	const minutes = forecast?.map(({ medianMinutes }) => medianMinutes) ?? [];
	// 19 harmed users of control a minute, ten times as many as in the table of statistics: 498, 140, 42 and 4 minutes.
	expect(minutes[1]).toBeGreaterThan(11);
	expect(minutes[1]).toBeLessThan(17);
	expect([...minutes].sort((a, b) => b - a)).toEqual(minutes);
	for (const each of forecast ?? []) expect(each.p80Minutes).toBeGreaterThanOrEqual(each.medianMinutes);
	expect(health.message).toMatch(/a risk ratio below [\d.]+ could not have been proven yet/);
});

test("a plan keeps the definitions of the metrics that it names, and no others", async () => {
	for (const key of ["basket_2", "basket_25"])
		// oxlint-disable-next-line no-await-in-loop -- two
		await done("POST", "/api/v1/metrics?environment=production", { body: { key, kind: "mean" } });
	const { key } = await createFlag(aFlag());
	const created = await done<Detail>("POST", "/api/v1/rollouts", {
		body: {
			rollout: key,
			environment: "production",
			flags: [key],
			phases: [{ percent: 100, hold: "1h", criteria: ["basket_25 mean < 5"] }],
		},
	});
	expect(created.plan.metrics.map((each) => each.key)).toEqual(["basket_25"]);
});
