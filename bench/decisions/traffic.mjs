import { normal } from "./random.mjs";

/**
 * Simulated outcomes of a rollout that stays at 5 %, as counts a minute and never request by request. In all of them 1 % of the
 * requests fail, on average over users and, but for incidents, over time.
 */
export const MINUTES = 24 * 60;
const SHARE = 0.05;
const SERVED = 5_000;
const BASELINE = 0.01;
const HAZARD_MAX = 0.9;

/** An arm's minute, in place: a new object a minute would cost more than what is drawn. */
function anArm() {
	return { requests: 0, harms: 0, firstHarms: 0, users: 0, harmedUsers: 0 };
}

function aMinute() {
	return { served: SERVED, arms: { candidate: anArm(), control: anArm() } };
}

/** `cell`: requests of the candidate a minute, and from which minute on it fails how many times as often. */
export const traffic = {
	/** Every request is a user of its own. */
	independent: (cell, draw) => requestsOf(cell, draw, () => BASELINE),
	/** The same, failing more and less often over the day, and in incidents: always in both arms alike. */
	drifting(cell, draw) {
		const factor = driftOf(draw.random);
		return requestsOf(cell, draw, (minute) => Math.min(HAZARD_MAX, BASELINE * factor(minute)));
	},
	clustered,
};

function requestsOf({ perMinute, ratio = 1, onset = 0 }, { poisson }, hazardAt) {
	const minute = aMinute();
	const add = (arm, mean, hazard) => {
		arm.harms = poisson(mean * hazard);
		arm.requests = arm.harms + poisson(mean * (1 - hazard));
		arm.firstHarms = arm.harms;
		arm.users += arm.requests;
		arm.harmedUsers += arm.harms;
	};
	return (at) => {
		const hazard = hazardAt(at);
		add(minute.arms.candidate, perMinute, at > onset ? hazard * ratio : hazard);
		add(minute.arms.control, (perMinute * (1 - SHARE)) / SHARE, hazard);
		return minute;
	};
}

/** A wave over the day, a walk that forgets within hours, and on average an incident each seven hours. */
function driftOf(random) {
	const phase = random();
	const kept = Math.exp(-1 / 240);
	let walk = normal(random);
	let incident = { until: 0, factor: 1 };
	return (minute) => {
		walk = walk * kept + normal(random) * Math.sqrt(1 - kept * kept);
		if (minute > incident.until && random() < 1 / 420)
			incident = { until: minute + 10 + Math.floor(random() * 51), factor: 5 * 4 ** random() };
		const wave = Math.sin(2 * Math.PI * (minute / MINUTES + phase));
		return Math.exp(0.3 * wave + 0.2 * walk) * (minute <= incident.until ? incident.factor : 1);
	};
}

/**
 * Users for each request a minute, how often a minute one comes, how many requests they then make, and how often all of these fail: a
 * failing user fails in bursts. One in a thousand fails nearly always and keeps coming back, and makes two thirds of all failures.
 */
const KINDS = [
	{ users: 0.1, visits: 1 / 60, requests: 4, fails: 0.95 },
	{ users: 2, visits: 1 / 120, requests: 4, fails: 0.03 },
	{ users: 98, visits: 0.9266 / 98, requests: 1, fails: 0.0018 },
];

function clustered({ perMinute }, { random, poisson }) {
	const minute = aMinute();
	const groups = Object.entries({ candidate: SHARE, control: 1 - SHARE }).flatMap(([arm, share]) =>
		KINDS.map((kind) => {
			const size = poisson((kind.users * perMinute * share) / SHARE);
			return { ...kind, arm: minute.arms[arm], size, unharmed: size };
		}),
	);
	return (at) => {
		for (const arm of Object.values(minute.arms)) arm.requests = arm.harms = arm.firstHarms = arm.users = 0;
		for (const group of groups) {
			const { arm, size, visits, requests, fails } = group;
			const failing = poisson(size * visits * fails);
			// Each is anybody's visit: who was harmed before is not counted again.
			for (let i = 0; i < failing; i++)
				if (random() * size < group.unharmed) {
					group.unharmed--;
					arm.firstHarms++;
					arm.harmedUsers++;
				}
			arm.harms += failing * requests;
			arm.requests += (failing + poisson(size * visits * (1 - fails))) * requests;
			// Only saturation looks at how many were seen: those harmed, and of the others as many as expected.
			arm.users += size - group.unharmed + group.unharmed * (1 - Math.exp(-visits * (1 - fails) * at));
		}
		return minute;
	};
}
