/**
 * Alerts on an objective (SLO) by how fast its error budget burns. A long window says that it matters, a short one that it still goes on.
 * Source: the Site Reliability Workbook, chapter 5, table 5-8, for 99.9 % over 30 days.
 */

export interface BurnAlert {
	readonly severity: "page" | "ticket";
	readonly longMinutes: number;
	/** a twelfth of the long window */
	readonly shortMinutes: number;
	/** the burn rate in both windows from which on it fires */
	readonly burnMin: number;
}

const HOUR = 60;
const DAY = 24 * HOUR;

/** They use up 2, 5 and 10 % of the budget of 30 days within the long window. */
export const BURN_ALERTS: readonly BurnAlert[] = [
	{ severity: "page", longMinutes: HOUR, shortMinutes: 5, burnMin: 14.4 },
	{ severity: "page", longMinutes: 6 * HOUR, shortMinutes: 30, burnMin: 6 },
	{ severity: "ticket", longMinutes: 3 * DAY, shortMinutes: 6 * HOUR, burnMin: 1 },
];

/** 1 − 0.999 is not 0.001 in binary: a rate that equals its threshold must not miss it by rounding. */
const ROUNDING = 1e-9;

/** How many times faster than sustainable the budget burns; both are fractions, `slo` the objective's share of good events, below 1. */
export function burnRate(errorRatio: number, slo: number): number {
	if (!(errorRatio >= 0 && errorRatio <= 1)) throw new RangeError(`error ratio ${errorRatio} must be in [0, 1]`);
	if (!(slo >= 0 && slo < 1)) throw new RangeError(`objective ${slo} must be in [0, 1)`);
	return errorRatio / (1 - slo);
}

/** Whether an alert fires on the error ratios of its two windows, which are fractions. */
export function firesAt(alert: BurnAlert, slo: number, errorRatio: { readonly long: number; readonly short: number }): boolean {
	const burnMin = alert.burnMin * (1 - ROUNDING);
	return burnRate(errorRatio.long, slo) >= burnMin && burnRate(errorRatio.short, slo) >= burnMin;
}
