import * as fc from "fast-check";
import { expect, test } from "vitest";
import { logDoublingRuledOut, startDoubling, updateDoubling } from "../../../core/statistics/doubling";
import vectors from "../../vectors/safe_switch_off.json";
import { binomialMean, expectClose, shareOfHarms } from "./close";

test("a doubling is ruled out tick by tick as the vectors say", () => {
	expect(startDoubling()).toHaveLength(vectors.alternatives.length);
	let logs = startDoubling();
	for (const { x, k, q_t, log_m } of vectors.ticks) {
		logs = updateDoubling(logs, [{ harmed: x, units: k, share: vectors.s }], q_t);
		expectClose(logDoublingRuledOut(logs), log_m, 1e-12);
	}
});

test("a doubling is ruled out from one aggregate as the vectors say", () => {
	const { x, k, s, q_t, log_m } = vectors.one_aggregate;
	expectClose(logDoublingRuledOut(updateDoubling(startDoubling(), [{ harmed: x, units: k, share: s }], q_t)), log_m, 1e-12);
});

test("nothing is ruled out at the start", () => expectClose(logDoublingRuledOut(startDoubling()), 0, 1e-12));

const aShare = fc.double({ min: 0.01, max: 0.95, noNaN: true });
const aHarmedShare = fc.double({ min: 0, max: 1, noNaN: true });

test("a true doubling, or worse, is not expected to be ruled out", () => {
	fc.assert(
		fc.property(
			fc.integer({ min: 0, max: 20 }),
			aShare,
			fc.double({ min: 1, max: 5, noNaN: true }),
			fc.double({ min: 0, max: 0.9, noNaN: true }),
			(units, share, factor, harmedShare) => {
				const hazardRatio = 2 * (1 - harmedShare) * factor;
				const mean = binomialMean(units, shareOfHarms(share, hazardRatio), (harmed) =>
					Math.exp(logDoublingRuledOut(updateDoubling(startDoubling(), [{ harmed, units, share }], harmedShare))),
				);
				expect(mean).toBeLessThanOrEqual(1 + 1e-9);
				if (factor === 1) expectClose(mean, 1);
			},
		),
	);
});

test("M has expectation 1 at a ratio of exactly 2", () => {
	fc.assert(
		fc.property(fc.integer({ min: 0, max: 20 }), aShare, (units, share) => {
			const mean = binomialMean(units, shareOfHarms(share, 2), (harmed) =>
				Math.exp(logDoublingRuledOut(updateDoubling(startDoubling(), [{ harmed, units, share }], 0))),
			);
			expectClose(mean, 1);
		}),
	);
});

test("with half of the candidate's units harmed, no bet goes in the wrong direction", () => {
	fc.assert(
		fc.property(aHarmedShare, (harmedShare) => {
			// Every new unit lies in the candidate: the worst news there is.
			const logs = updateDoubling(startDoubling(), [{ harmed: 10, units: 10, share: 0.5 }], harmedShare);
			expect(Math.max(...logs)).toBeLessThanOrEqual(0);
		}),
	);
});

test("a tick leaves the state it is given alone", () => {
	const before = startDoubling();
	updateDoubling(before, [{ harmed: 1, units: 20, share: 0.05 }], 0);
	expect(before).toEqual(startDoubling());
});

test.each([0, 1])("without a control or a candidate (share %d) nothing moves", (share) => {
	expect(updateDoubling(startDoubling(), [{ harmed: 0, units: 100, share }], 0)).toEqual(startDoubling());
});

test("counts, harmed shares and states that cannot be are refused", () => {
	expect(() => updateDoubling(startDoubling(), [{ harmed: 2, units: 1, share: 0.5 }], 0)).toThrow(RangeError);
	expect(() => updateDoubling(startDoubling(), [], 1.1)).toThrow(RangeError);
	expect(() => updateDoubling(startDoubling(), [], Number.NaN)).toThrow(RangeError);
	expect(() => updateDoubling([0], [], 0)).toThrow(RangeError);
});
