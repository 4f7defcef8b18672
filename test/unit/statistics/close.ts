import { expect } from "vitest";

/** Relative, and absolute below one: logarithms of evidence cross zero, where a relative error means nothing. */
export function expectClose(actual: number, expected: number, tolerance = 1e-9): void {
	if (actual === expected) return;
	expect(Math.abs(actual - expected) / Math.max(1, Math.abs(expected)), `${actual} is not ${expected}`).toBeLessThanOrEqual(tolerance);
}

/** Relative at any size. */
export function expectRelativelyClose(actual: number, expected: number, tolerance = 1e-9): void {
	if (actual === expected) return;
	expect(Math.abs(actual - expected) / Math.abs(expected), `${actual} is not ${expected}`).toBeLessThanOrEqual(tolerance);
}

/** The expectation of f(x) over x ~ Binomial(n, p), term by term. */
export function binomialMean(n: number, p: number, f: (x: number) => number): number {
	let probability = (1 - p) ** n;
	let mean = 0;
	for (let x = 0; x <= n; x++) {
		mean += probability * f(x);
		probability *= (((n - x) / (x + 1)) * p) / (1 - p);
	}
	return mean;
}

/** Where a unit newly harmed lies, when its hazard in the candidate is `ratio` times that in control. */
export function shareOfHarms(share: number, ratio: number): number {
	return (share * ratio) / (1 + share * (ratio - 1));
}
