import { drawing, normal } from "./random.mjs";
import { MINUTES } from "./traffic.mjs";

/**
 * A few users, of whom some come far more often than others, under the engine's own steps: a rollout through all its phases,
 * in which users move from control to the candidate and are counted in the stratum of where they failed before.
 */

const BUCKETS = 100_000;
const FAILS = 0.01;
const FAILS_MAX = 0.3;
const NEVER = -1;

/** How the rollout stands at the day's end, and when it got there. */
export function fewUsers(judge, cell, repetition) {
	const plan = judge.aPlan(cell.plan);
	const rollout = judge.startRollout(plan);
	const population = populate(cell, drawing(cell, repetition));
	let stage = 0;
	for (let at = 1; at <= MINUTES; at++) {
		const state = rollout.state();
		if (state.stage !== stage) {
			({ stage } = state);
			population.enter(judge.servedIn(plan, state.phase), at);
		}
		const { kind } = rollout.tick(judge.evidenceOf(population.minute(at)));
		if (kind === "roll_back" || kind === "complete") return [kind, at];
	}
	return [`phase ${rollout.state().phase + 1}`, MINUTES];
}

/** The i-th user comes 1/i times as often as the first (Zipf), and fails at a rate of its own, 1 % on average. */
function populate({ users: size, perMinute, ratio }, { random, poisson }) {
	const bucket = new Int32Array(size);
	const rate = new Float64Array(size);
	const fails = new Float64Array(size);
	/** Σ of rate times fails up to each user: where a failure lands. */
	const failing = new Float64Array(size);
	let harmonic = 0;
	for (let i = 1; i <= size; i++) harmonic += 1 / i;
	for (let i = 0; i < size; i++) {
		bucket[i] = Math.floor(random() * BUCKETS);
		rate[i] = perMinute / (i + 1) / harmonic;
		fails[i] = Math.min(FAILS_MAX, FAILS * Math.exp(normal(random) - 0.5));
		failing[i] = (failing[i - 1] ?? 0) + rate[i] * fails[i];
	}
	const exposed = new Uint8Array(size);
	const harmedInCandidate = new Uint8Array(size);
	const lastControlServed = new Int32Array(size).fill(NEVER);

	let served = 0;
	const seen = new Uint8Array(size);
	const harmed = new Uint8Array(size);
	/** Users by the minute of the stage's first request that does not fail: a linked list a minute. */
	const firstAt = new Int32Array(MINUTES + 1);
	const nextAt = new Int32Array(size);
	let harmless = { candidate: 0, control: 0 };
	let arms = noCounts();
	let strata = new Map();
	let exposures = new Map();

	const armOf = (user) => (bucket[user] < served ? "candidate" : "control");
	const failsOf = (user, arm) => (arm === "candidate" ? fails[user] * ratio : fails[user]);

	const see = (user, arm) => {
		if (seen[user]) return;
		seen[user] = 1;
		arms[arm].users++;
		if (exposed[user]) return;
		exposed[user] = 1;
		count(exposures, arm, { arm, served });
	};
	const fail = (user, arm) => {
		arms[arm].harms++;
		see(user, arm);
		if (!harmed[user]) arms[arm].harmedUsers++;
		harmed[user] = 1;
		const last = lastControlServed[user];
		if (harmedInCandidate[user] || last >= served) return;
		if (arm === "candidate") harmedInCandidate[user] = 1;
		else lastControlServed[user] = served;
		count(strata, `${arm}/${last}`, { arm, served, lastControlServed: last === NEVER ? null : last });
	};

	return {
		enter(percent, at) {
			served = percent;
			seen.fill(0);
			harmed.fill(0);
			firstAt.fill(NEVER);
			arms = noCounts();
			harmless = { candidate: 0, control: 0 };
			for (let user = 0; user < size; user++) {
				const arm = armOf(user);
				const often = rate[user] * (1 - failsOf(user, arm));
				harmless[arm] += often;
				const first = at + Math.floor(-Math.log(1 - random()) / often);
				if (first > MINUTES) continue;
				nextAt[user] = firstAt[first];
				firstAt[first] = user;
			}
		},
		minute(at) {
			strata = new Map();
			exposures = new Map();
			arms.candidate.harms = arms.control.harms = 0;
			for (let user = firstAt[at]; user !== NEVER; user = nextAt[user]) see(user, armOf(user));
			// As many failures as if all were candidates, of which control has one in `ratio`.
			for (let left = poisson(failing[size - 1] * ratio); left > 0; left--) {
				const user = indexOf(failing, random() * failing[size - 1]);
				const arm = armOf(user);
				if (arm === "candidate" || random() * ratio < 1) fail(user, arm);
			}
			for (const [arm, counts] of Object.entries(arms)) counts.requests = counts.harms + poisson(harmless[arm]);
			return { served, arms, strata: [...strata.values()], exposures: [...exposures.values()] };
		},
	};
}

function noCounts() {
	const none = { requests: 0, harms: 0, firstHarms: 0, users: 0, harmedUsers: 0 };
	return { candidate: { ...none }, control: { ...none } };
}

function count(rows, key, row) {
	const counted = rows.get(key);
	if (counted) counted.units++;
	else rows.set(key, { ...row, units: 1 });
}

/** The first place whose running sum is above `value`. */
function indexOf(sums, value) {
	let [from, to] = [0, sums.length - 1];
	while (from < to) {
		const middle = (from + to) >> 1;
		if (sums[middle] > value) to = middle;
		else from = middle + 1;
	}
	return from;
}
