import { expect, test } from "vitest";
import { startGuard, watchGuard } from "../../../core/health/guard";
import type { Arm, Evidence } from "../../../core/health/observation";
import { logEvidence } from "../../../core/statistics/evidence";
import { aGuard, sumsOf } from "../rollouts/fixtures";
import { randomOf } from "../rollouts/simulation";

const RUNS = 2_000;
const TICKS = 300;
const UNITS_A_TICK = 20;
/** Right at the limit of saturation, with one unit of control a tick: whether to drop a window is asked often, and answered by few. */
const HARM_RATE = 0.7;
const SERVED = 95_000;
const ALPHA = 1 / 80;

const guard = aGuard({ text: "error_rate vs control <= +0%", margin: 0 });

/** Whether the evidence ever reaches 1/α in a run in which both arms are harmed alike. */
function alarms(random: () => number): boolean {
	const users = { candidate: 0, control: 0 };
	const harmedUsers = { candidate: 0, control: 0 };
	let watch = startGuard(guard);
	for (let tick = 1; tick <= TICKS; tick++) {
		const harmed = { candidate: 0, control: 0 };
		for (let unit = 0; unit < UNITS_A_TICK; unit++) {
			const arm: Arm = random() < SERVED / 100_000 ? "candidate" : "control";
			users[arm]++;
			if (random() < HARM_RATE) harmed[arm]++;
		}
		const arms = (["candidate", "control"] as const).filter((arm) => users[arm] > 0);
		for (const arm of arms) harmedUsers[arm] += harmed[arm];
		const evidence: Evidence = {
			kind: "evidence",
			watermark: String(tick),
			totals: [],
			firstHarms: arms.map((arm) => ({ signal: "error", arm, served: SERVED, lastControlServed: null, units: harmed[arm] })),
			userSums: arms.map((arm) => sumsOf({ arm, users: users[arm], harmedUsers: harmedUsers[arm] })),
			firstExposures: [],
			scored: [],
			quantiles: [],
		};
		watch = watchGuard(guard, watch, evidence, 1);
		if (logEvidence(watch.harm) >= -Math.log(ALPHA)) return true;
	}
	return false;
}

test("evidence that stands still under saturation alarms in at most α of the rollouts that do no harm", { timeout: 30_000 }, () => {
	const random = randomOf(20_260_419);
	let alarmed = 0;
	for (let run = 0; run < RUNS; run++) alarmed += Number(alarms(random));
	const standardError = Math.sqrt((ALPHA * (1 - ALPHA)) / RUNS);
	expect(alarmed / RUNS).toBeLessThanOrEqual(ALPHA + 3 * standardError);
});
