import { expect, test } from "vitest";
import { BURN_ALERTS, burnRate, firesAt } from "../../../core/statistics/burnRate";
import vectors from "../../vectors/burn_rate.json";
import { expectRelativelyClose } from "./close";

const MINUTES: Record<string, number> = { m: 1, h: 60, d: 1_440 };
const MINUTES_OF_30_DAYS = 43_200;

function minutesOf(window: string): number {
	return Number.parseInt(window, 10) * (MINUTES[window.at(-1) ?? ""] ?? Number.NaN);
}

function alertOver(longMinutes: number): (typeof BURN_ALERTS)[number] {
	const alert = BURN_ALERTS.find((each) => each.longMinutes === longMinutes);
	if (!alert) throw new Error(`no alert over ${longMinutes} minutes`);
	return alert;
}

test("the alerts are the documented ones", () => {
	expect(BURN_ALERTS).toEqual(
		vectors.table.map(({ severity, long, short, burn }) => ({
			severity,
			longMinutes: minutesOf(long),
			shortMinutes: minutesOf(short),
			burnMin: burn,
		})),
	);
});

test.each(vectors.table)("burning $burn times too fast for $long takes $budget_consumed of the month's budget", (row) => {
	expectRelativelyClose((row.burn * minutesOf(row.long)) / MINUTES_OF_30_DAYS, row.budget_consumed, 1e-12);
	expect(minutesOf(row.short)).toBe(minutesOf(row.long) / 12);
});

test.each(vectors.thresholds)("$budget of the budget in $window_h hours is a burn rate of $threshold", ({ window_h, threshold }) => {
	expect(alertOver(window_h * 60).burnMin).toBe(threshold);
});

test.each(vectors.cases)("at errors of $err_long over $long and $err_short just now, the alert fires: $fires", (vector) => {
	const { slo, err_long, err_short, long, threshold, fires } = vector;
	const alert = alertOver(minutesOf(long));
	expect(alert.burnMin).toBe(threshold);
	expectRelativelyClose(burnRate(err_long, slo), vector.burn_long, 1e-12);
	expectRelativelyClose(burnRate(err_short, slo), vector.burn_short, 1e-12);
	expect(firesAt(alert, slo, { long: err_long, short: err_short })).toBe(fires);
});

test.each(BURN_ALERTS)("$burnMin fires when both windows reach it, whatever the objective", (alert) => {
	for (const slo of [0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999]) {
		const at = alert.burnMin * (1 - slo);
		if (at > 1) continue;
		expect(firesAt(alert, slo, { long: at, short: at })).toBe(true);
		expect(firesAt(alert, slo, { long: at * 0.999, short: at })).toBe(false);
		expect(firesAt(alert, slo, { long: at, short: at * 0.999 })).toBe(false);
	}
});

test("ratios and objectives that cannot be are refused", () => {
	for (const ratio of [-0.1, 1.1, Number.NaN]) expect(() => burnRate(ratio, 0.999)).toThrow(RangeError);
	for (const slo of [1, -0.1, Number.NaN]) expect(() => burnRate(0.1, slo)).toThrow(RangeError);
	for (const alert of BURN_ALERTS) expect(() => firesAt(alert, 0.999, { long: Number.NaN, short: 0 })).toThrow(RangeError);
});
